"""`reki knowledge discover`: one question to the LLM, one file for the expert."""

import asyncio
from pathlib import Path

from rich.console import Console

from knowledge.base import TerminalError
from knowledge.base.files import refuse_existing
from knowledge.client import LlmClient
from knowledge.discover import Proposal, check_name, discover, write_proposal
from knowledge.prompts import SampleItem
from knowledge.samples import read_samples
from reki.current import current_settings
from reki.knowledge.opened import answering, who_answers
from reki.knowledge.running import mend_first
from reki.settings import Settings


def run(name: str, sample: Path, out: Path) -> None:
    """Ask and write. All that can be wrong is looked at before the LLM is asked: the name, the sample, the file."""
    check_name(name)
    samples = read_samples(sample)
    refuse_existing(out, "name another file with --out")
    settings = current_settings()
    if settings.knowledge.llm == "recorded":
        raise TerminalError("no_llm", "recorded knowledge cannot be asked about a new domain: set REKI_LLM to who can")
    Console(highlight=False).print(f"asking {who_answers(settings, live=True)}", soft_wrap=True, markup=False)
    with answering(settings) as ready, mend_first():
        proposal = asyncio.run(_ask(ready, name, samples))
    write_proposal(proposal, out)
    console = Console(highlight=False)
    console.print(
        f"{out}: {len(proposal.scenario.factors)} factors by {proposal.answer.model} from {len(samples)} items "
        f"({', '.join(proposal.scenario.factors)})",
        soft_wrap=True,
        markup=False,
    )
    if proposal.repairs:
        dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(proposal.repairs.items()))
        console.print(f"dropped or replaced: {dropped}", soft_wrap=True, markup=False)
    console.print(f"Edit it, then use it: REKI_SCENARIO={out}", soft_wrap=True, markup=False)


async def _ask(settings: Settings, name: str, samples: list[SampleItem]) -> Proposal:
    client = LlmClient(settings.knowledge)
    try:
        return await discover(client, name, samples)
    finally:
        await client.close()
