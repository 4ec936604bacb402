"""The command `reki release`. Light: what a subcommand needs is imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Releases: the trained networks with everything that belongs to them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Name = Annotated[str, typer.Argument(help="Its id, the beginning of one, or a folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command(name="list")
def list_(json: AsJson = False) -> None:
    """List the releases of this clone: when made, how good, and which slot of a running stack holds which."""
    from reki.release.listing import run

    run(json)


@app.command()
def show(name: Name) -> None:
    """Print a release's model card, in Markdown: data, metrics, knowledge provenance, sizes, layout."""
    from reki.release.card import run

    run(name)


@app.command()
def diff(old: Name, new: Name, json: AsJson = False) -> None:
    """Say what differs between two releases, and what a change from one to the other needs."""
    from reki.release.diff import run

    run(old, new, json)


@app.command()
def settle(
    out: Annotated[Path, typer.Option(help="Folder of `reki evaluate ctr`, with the variants plain, ours_summaries.")],
    dataset: Annotated[str, typer.Option(help="Name of the data set.")] = "ml-100k",
    folds: Annotated[int, typer.Option(min=2, max=5, help="How many of the five folds count.")] = 5,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="How many seeds of each count.")] = 2,
    reuse: Annotated[str, typer.Option(help="Code versions whose results may stand in, with commas.")] = "",
    to: Annotated[
        Path | None, typer.Option(help="File to write; by default the one that training reads, ranking/settled.json.")
    ] = None,
) -> None:
    """Settle how a release is trained: epochs, temperature and expected metrics, from the folds' predictions."""
    from ranking.settled import FILE
    from reki.release.settle import run

    run(out, dataset, folds, seeds, reuse, to or FILE)
