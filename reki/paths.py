"""Where this clone keeps its things."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def cache_dir() -> Path:
    """What set-up fetched or computed and may be shared between clones: `REKI_CACHE`, else `.reki/cache`."""
    return (ROOT / (os.environ.get("REKI_CACHE") or ".reki/cache")).resolve()
