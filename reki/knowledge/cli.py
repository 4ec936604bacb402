"""The command `reki knowledge`. Light: what a subcommand needs is imported when it runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(
    help="Knowledge in bulk: generate, look at, move, and check what an LLM said.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
From = Annotated[
    Path | None,
    typer.Option("--from", help="Read this data set instead of the running stack; Feast is left as it is."),
]
Id = Annotated[str, typer.Argument(help="The user's or item's id.")]


@app.command()
def generate(
    kind: Annotated[Literal["users", "items"], typer.Argument(help="About whom.")],
    mode: Annotated[
        Literal["individual", "collective"], typer.Option(help="One call for each, or one for each cluster.")
    ] = "individual",
    k: Annotated[int | None, typer.Option("--k", min=1, help="Collective: how many clusters.")] = None,
    budget: Annotated[int | None, typer.Option(min=1, help="Collective: tokens that the clusters may cost.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N.")] = None,
    missing: Annotated[bool, typer.Option("--missing", help="Only those without knowledge in force.")] = False,
    folder: From = None,
    training_split: Annotated[
        bool, typer.Option("--training-split", help="With --from: only the events that training may show an LLM.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Collective: replace users' individual knowledge as well.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, ask nothing.")] = False,
    price_in: Annotated[float, typer.Option(min=0, help="Price of a million tokens in.")] = 0.0,
    price_out: Annotated[float, typer.Option(min=0, help="... and out.")] = 0.0,
    price_cached: Annotated[
        float | None, typer.Option(min=0, help="... and in, where the server's prefix cache has them.")
    ] = None,
) -> None:
    """Ask the LLM about many users or items. Ctrl-C, then the same command: no answered prompt is asked again."""
    from reki.knowledge.generate import Wish
    from reki.knowledge.generate import generate as run
    from reki.knowledge.plan import Prices

    wish = Wish(
        kind=kind,
        mode=mode,
        folder=folder,
        training_split=training_split,
        missing=missing,
        limit=limit,
        dry_run=dry_run,
        clusters=k,
        budget=budget,
        replace_individual=replace,
        prices=Prices(price_in, price_out, price_cached),
    )
    code = run(wish)
    if code:
        raise typer.Exit(code)
