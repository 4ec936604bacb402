"""The commands `reki evaluate ctr|rerank|freshness|robust|ablations|contamination|publish`."""

from pathlib import Path
from typing import Annotated

import typer

from knowledge.base import TerminalError
from reki.evaluate.said import either, fixed, narrowed, said, within

app = typer.Typer(help="Compare recommenders on a data set, and write the report.", no_args_is_help=True)

Dataset = Annotated[str, typer.Option(help="Name of the data set.")]
Backbones = Annotated[str, typer.Option(help="all, or names with commas between.")]
Folds = Annotated[int, typer.Option(min=0, max=5, help="How many of the five folds over all users.")]
SomeFolds = Annotated[int, typer.Option(min=1, max=5, help="How many of the five folds over all users.")]
Seeds = Annotated[int, typer.Option(min=1, max=100, help="Trainings of each model, with different seeds.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes of one thread each, at most one a core; 0 = as many.")]
Out = Annotated[Path, typer.Option(help="Folder of results and report; run again, it goes on where it was.")]
Reuse = Annotated[str, typer.Option(help="Code versions whose results may stand in for this one's, with commas.")]
Only = Annotated[bool, typer.Option("--report", help="Train nothing: report what is there.")]
Plan = Annotated[bool, typer.Option("--plan", help="Say what is to be trained and how long it takes, and stop.")]
Quick = Annotated[bool, typer.Option("--quick", help="A few users, one fold and seed, in OUT/quick: does it run?")]
_ONE = {"folds": 1, "seeds": 1}  # what a quick run takes


def _does(report: bool, plan: bool) -> tuple[bool, bool]:
    """Whether to train, and whether to write a report."""
    either(report=report, plan=plan)
    return not (report or plan), not plan


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)


@app.command()
def ctr(
    context: typer.Context,
    out: Out,
    dataset: Dataset = "ml-100k",
    backbones: Backbones = "all",
    variants: Annotated[str, typer.Option(help="headline, all, or names with commas between.")] = "headline",
    folds: Folds = 5,
    seeds: Seeds = 2,
    splits: Annotated[
        str, typer.Option(help="Further splits beside the folds, with commas: design, time; or none.")
    ] = "design,time",
    deeper: Annotated[
        str, typer.Option(help="Backbones for further variants, further splits and page-blind; none = no such runs.")
    ] = "din,dcnv2",
    page_blind: Annotated[bool, typer.Option(help="Every variant a second time, blind to its own second.")] = True,
    workers: Workers = 0,
    reuse: Reuse = "",
    report: Only = False,
    plan: Plan = False,
    quick: Quick = False,
) -> None:
    """Train and compare click-through models: JSON, Markdown and plots in OUT. Resumable; Ctrl-C loses nothing."""
    from reki.evaluate import ctr as command

    if quick:
        fixed(context, {**_ONE, "splits": "none", "deeper": "as --backbones", "page_blind": False})
        backbones = narrowed(context, "backbones", "din")
    within(context, "deeper", backbones, "backbones")
    chosen = command.Chosen(
        dataset, backbones, variants, folds, seeds, splits, deeper, page_blind, workers, out, reuse, quick
    )
    _end(command.run(chosen, *_does(report, plan)))


@app.command()
def rerank(
    context: typer.Context,
    out: Out,
    dataset: Dataset = "ml-100k",
    backbones: Annotated[str, typer.Option(help="Rerankers: all, or names with commas between.")] = "all",
    variants: Annotated[str, typer.Option(help="all, or names with commas between.")] = "all",
    folds: SomeFolds = 5,
    seeds: Seeds = 2,
    kinds: Annotated[str, typer.Option(help="How lists are filled up: popularity, uniform.")] = "popularity,uniform",
    uniform_variants: Annotated[str, typer.Option(help="Which of the variants run on uniform lists.")] = "plain,ours",
    uniform_seeds: Annotated[int, typer.Option(min=1, max=100, help="Trainings of each model on uniform lists.")] = 1,
    workers: Workers = 0,
    reuse: Reuse = "",
    report: Only = False,
    plan: Plan = False,
    quick: Quick = False,
) -> None:
    """Train and compare rerankers on lists of ten: JSON, Markdown and plots in OUT. Resumable."""
    from reki.evaluate import rerank as command

    if quick:
        fixed(context, {**_ONE, "uniform_seeds": 1})
        backbones, variants = narrowed(context, "backbones", "dlcm"), narrowed(context, "variants", "plain,ours")
    within(context, "uniform_variants", variants, "variants")
    if said(context, "uniform_seeds") and uniform_seeds > seeds:
        raise TerminalError("bad_option", f"--uniform-seeds {uniform_seeds}: there are {seeds} --seeds to choose from")
    uniform = command.Uniform(uniform_variants, uniform_seeds)
    chosen = command.Chosen(dataset, backbones, variants, folds, seeds, kinds, uniform, workers, out, reuse, quick)
    _end(command.run(chosen, *_does(report, plan)))


@app.command()
def freshness(
    out: Out,
    backbones: Backbones = "din,dcnv2",
    seeds: Seeds = 2,
    workers: Workers = 0,
    report: Only = False,
    plan: Plan = False,
) -> None:
    """Measure what following events and refreshing knowledge are worth on users with refreshes. Resumable."""
    from reki.evaluate import freshness as command

    chosen = command.Chosen(backbones, seeds, workers, out)
    _end(command.run(chosen, *_does(report, plan)))


@app.command()
def robust(
    context: typer.Context,
    out: Out,
    dataset: Dataset = "ml-100k",
    backbones: Backbones = "din,dcnv2",
    folds: SomeFolds = 5,
    seeds: Seeds = 1,
    workers: Workers = 0,
    report: Only = False,
    plan: Plan = False,
    quick: Quick = False,
) -> None:
    """Masked parts, users with few events, items that nobody rated: what is left of each variant. Resumable."""
    from reki.evaluate import robust as command

    if quick:
        fixed(context, _ONE)
        backbones = narrowed(context, "backbones", "din")
    chosen = command.Chosen(dataset, backbones, folds, seeds, workers, out, quick)
    _end(command.run(chosen, *_does(report, plan)))


@app.command()
def contamination(out: Out, dataset: Dataset = "ml-100k") -> None:
    """How often expected likes come true, against popular items, and what the LLM may have recollected. No training."""
    from reki.evaluate.contamination import run

    run(dataset, out)


@app.command()
def ablations(
    context: typer.Context,
    out: Out,
    dataset: Dataset = "ml-100k",
    only: Annotated[str, typer.Option(help="Rows or sections with commas between; empty = all.")] = "",
    backbones: Backbones = "din,dcnv2",
    folds: SomeFolds = 5,
    seeds: Seeds = 1,
    workers: Workers = 0,
    reuse: Reuse = "",
    report: Only = False,
    plan: Plan = False,
    quick: Quick = False,
) -> None:
    """Leave out or change one part of `ours` at a time: tables and plots in OUT. Resumable."""
    from reki.evaluate import ablations as command

    if quick:
        fixed(context, _ONE)
    chosen = command.Chosen(dataset, only, backbones, folds, seeds, workers, out, reuse, quick)
    _end(command.run(chosen, *_does(report, plan)))


@app.command()
def publish(
    out: Out,
    docs: Annotated[Path, typer.Option(help="Folder of the documentation: results.md and results/ in it.")],
) -> None:
    """Make docs/results.md and docs/results/ from the reports in OUT; remove what an earlier publication left there."""
    from reki.evaluate.publish import publish as run

    written, removed = run(out, docs)
    for path in written:
        print(path)
    for path in removed:
        print(f"{path} removed: not in this publication")
