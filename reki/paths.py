"""Where this clone keeps its things."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def cache_dir() -> Path:
    """What set-up fetched or computed and may be shared between clones: `REKI_CACHE`, else `.reki/cache`."""
    return (ROOT / (os.environ.get("REKI_CACHE") or ".reki/cache")).resolve()


def state_dir() -> Path:
    """What this clone keeps and git does not: `REKI_STATE_DIR`, else `.reki`."""
    return (ROOT / (os.environ.get("REKI_STATE_DIR") or ".reki")).resolve()


def ports_file() -> Path:
    """The ports of this clone's stack."""
    return state_dir() / "ports.json"


def run_dirs() -> dict[str, Path]:
    """Run folders of the two stacks that a clone can have up, one at a time: they share the clone's ports."""
    return {"reki up": state_dir() / "run", "reki demo": state_dir() / "demo" / "run"}
