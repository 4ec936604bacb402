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
    typer.Option(
        "--from",
        help="Read this folder instead of the running stack: items.jsonl, events.jsonl and profiles.jsonl (not "
        "needed), or MovieLens-100K. Feast is left as it is.",
    ),
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
    find: Annotated[
        bool,
        typer.Option("--find", help="Individual users: offer up to 60 items found for each (large catalogues)."),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Collective: replace users' individual knowledge as well.")
    ] = False,
    recluster: Annotated[bool, typer.Option("--recluster", help="Collective: cluster anew in any case.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, ask nothing.")] = False,
    price_in: Annotated[float, typer.Option(min=0, help="Price of a million tokens in.")] = 0.0,
    price_out: Annotated[float, typer.Option(min=0, help="... and out.")] = 0.0,
    price_cached: Annotated[
        float | None, typer.Option(min=0, help="... and in, where the server's prefix cache has them.")
    ] = None,
) -> None:
    """Ask the LLM about many users or items. Ctrl-C, then the same command: no answered prompt is asked again.

    The LLM is that of REKI_LLM, REKI_LLM_BASE_URL and REKI_LLM_MODEL; the first line says which. Results go to
    users.jsonl or items.jsonl in REKI_DATA_DIR/knowledge (.reki/data/knowledge) and, of a running stack, into Feast.
    """
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
        recluster=recluster,
        find=find,
        prices=Prices(price_in, price_out, price_cached),
    )
    code = run(wish)
    if code:
        raise typer.Exit(code)


@app.command()
def show(
    entity: Annotated[Literal["user", "item"], typer.Argument(help="What it is.")],
    entity_id: Id,
    folder: Annotated[
        Path | None, typer.Option("--from", help="Take titles from this data set, knowledge from the store.")
    ] = None,
    stored: Annotated[
        bool, typer.Option("--stored", help="What `generate` or `import` stored, not what is in force.")
    ] = False,
) -> None:
    """Show what is known: factors, expectations by title, who said it, when, from how many events."""
    from reki.knowledge.show import show as run

    run(entity, entity_id, folder, stored)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="A new file, .jsonl or .parquet.")],
    only: Annotated[Literal["users", "items"] | None, typer.Option(help="One kind alone.")] = None,
    in_force: Annotated[
        bool, typer.Option("--in-force", help="What the running stack uses (Feast), not what is stored here.")
    ] = False,
) -> None:
    """Write knowledge to a file: what `generate` and `import` stored here, of the scenario in use.

    Personal data: mind where you put it, and take a user out of it by hand when that user is forgotten.
    """
    from reki.knowledge.exporting import run

    print(run(file, only, in_force))


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="A file as `export` writes it.")],
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Take the good lines though others are bad.")] = False,
    feast: Annotated[bool, typer.Option("--feast", help="Write to the running stack's Feast as well.")] = False,
) -> None:
    """Take knowledge from a file. Every line is checked; with a bad one nothing is written, unless --skip-bad."""
    from reki.knowledge.importing import run

    code = run(file, skip_bad, feast)
    if code:
        raise typer.Exit(code)


@app.command()
def forget(user: Annotated[str, typer.Argument(help="The user's id.")]) -> None:
    """Take a user out of what is stored, with the cached answers about them; `reki forget` is for the stack."""
    from reki.knowledge.forgetting import run

    run(user)


@app.command()
def discover(
    sample: Annotated[Path, typer.Option("--sample", help="Items of the new domain, .jsonl or .csv with `title`.")],
    scenario: Annotated[str, typer.Option("--scenario", help="A name for the new scenario: a-z, 0-9 and _.")],
    out: Annotated[Path | None, typer.Option("--out", help="The new file; NAME.toml if not given.")] = None,
) -> None:
    """Ask the LLM for the factors of a new domain, and write a scenario file for the expert to edit."""
    from reki.knowledge.discovering import run

    run(scenario, sample, out or Path(f"{scenario}.toml"))


@app.command()
def catalogue(
    out: Annotated[Path, typer.Option("--out", help="The new file, .json.")],
    folder: From = None,
    name: Annotated[str, typer.Option(help="First part of the catalogue's version; the file's name if empty.")] = "",
    anchors: Annotated[int, typer.Option(min=1, help="How many items are valued by every user.")] = 40,
    shortlist: Annotated[int, typer.Option(min=1, help="How many may be named as likes and dislikes.")] = 300,
    find_file: Annotated[
        Path | None,
        typer.Option("--find-file", help="Also write what items are found from for each user (large catalogues)."),
    ] = None,
    reviewed: Annotated[
        Path | None, typer.Option("--reviewed", help="Ids, one a line: only these may be anchors or in the shortlist.")
    ] = None,
) -> None:
    """Choose anchors and shortlist from your items and who touched them, and write the catalogue file."""
    from reki.knowledge.cataloguing import Asked, run

    run(Asked(out, folder, name, anchors, shortlist, find_file, reviewed))


@app.command()
def names(
    most: Annotated[int, typer.Option(min=1, help="How many items to list.")] = 20,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Of the recorded MovieLens knowledge, not of what is stored.")
    ] = False,
    folder: Annotated[Path | None, typer.Option("--from", help="Take titles from this data set.")] = None,
) -> None:
    """Show how often each item is named as a like or dislike; one named for over a quarter of all users is flagged."""
    from reki.knowledge.naming import run

    run(most, recorded, folder)
