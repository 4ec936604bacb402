"""How often injection attempts reach their goal: with a naive prompt and an unchecked answer, and with ours.

Run: `.venv/bin/python benchmarks/injections.py --out injections.json` (half a minute). It uses the attempts of
`tests/knowledge/injections.jsonl` and two servers that obey whatever they can see (see
`tests/knowledge/injection_parts.py`); `--embedded N` asks the embedded SmolLM2 about the first N attempts of each goal
as well (N = 3: six minutes).
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "knowledge"))

from injection_parts import ATTEMPTS, ObeyingServer, benign, cleaned, forged, raw
from injection_run import control, kinds, rates, run

from reki.embedded import llm

EMBEDDED_GOALS = ("name_item", "say_phrase", "spread_link")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    parser.add_argument("--embedded", type=int, default=0, metavar="N", help="also ask SmolLM2 about N per goal")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = asyncio.run(measure(Path(name), given.embedded))
    text = json.dumps(figures, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


async def measure(folder: Path, embedded: int) -> dict[str, Any]:
    """Rates as [attempts, successes before, successes after] by goal."""
    figures: dict[str, Any] = {
        "attempts": len(ATTEMPTS),
        "languages": len({one.language for one in ATTEMPTS}),
        "forge_structure": {
            "before": sum(bool(forged(raw(one), benign(one))) for one in ATTEMPTS),
            "after": sum(bool(forged(cleaned(one), benign(one))) for one in ATTEMPTS),
        },
    }
    for name, gullible in (("structural_server", False), ("gullible_server", True)):
        server = await ObeyingServer(gullible).start()
        outcomes = await run(server, folder / name)
        figures[name] = rates(outcomes)
        figures["kinds"] = dict(kinds(outcomes))
        await server.stop()
    if embedded:
        sample = [one for goal in EMBEDDED_GOALS for one in [a for a in ATTEMPTS if a.goal == goal][:embedded]]
        began = time.monotonic()
        with llm.start(folder) as running:
            server = SimpleNamespace(base_url=running.base_url, obeyed=False)
            figures["smollm2"] = rates(await run(server, folder / "smollm2", sample))
            figures["smollm2_reached_without_attack"] = await control(server, sample)
        figures["smollm2_seconds"] = round(time.monotonic() - began)
    return figures


if __name__ == "__main__":
    main()
