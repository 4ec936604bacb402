"""The command `reki`."""

import sys
from typing import Annotated, Literal

import typer
from rich.console import Console

from knowledge.base import RekiError, TerminalError
from reki.evaluate import cli as evaluate_cli
from reki.knowledge import cli as knowledge_cli
from reki.release import cli as release_cli

app = typer.Typer(
    help="REKI: knowledge from an LLM as features, kept fresh by streams.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(knowledge_cli.app, name="knowledge")
app.add_typer(evaluate_cli.app, name="evaluate")
app.add_typer(release_cli.app, name="release")
User = Annotated[str, typer.Argument(help="The user's id.")]


@app.command()
def settings(
    name: Annotated[str, typer.Argument(help="Print the value of this one alone, for scripts.")] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/settings.md instead.")] = False,
) -> None:
    """Print every setting in force and where its value came from; secrets are masked."""
    from reki import settings_page
    from reki.current import current_settings
    from reki.settings import unknown_variables

    if markdown:
        sys.stdout.write(settings_page.markdown())
        return
    if name:
        print(settings_page.plain(current_settings(), name))
        return
    console = Console()
    # Unbroken lines where somebody reads them with a program.
    console = console if console.is_terminal else Console(width=200)
    console.print(settings_page.table(current_settings()))
    for name in unknown_variables():
        print(f"{name} is set in the environment, but there is no such setting", file=sys.stderr)


@app.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is ready and leave it running.")] = False,
    stores: Annotated[bool, typer.Option("--stores", help="Broker and Valkey alone, without the workers.")] = False,
) -> None:
    """Run the local stack: broker, Valkey, LLM server, Triton and both workers. Ctrl-C stops it."""
    from reki.up import run

    run(detach=detach, stores=stores)


@app.command()
def down() -> None:
    """Stop this clone's stack, whoever started it, and whatever a crash has left of it."""
    from reki.up import stop

    stop()


@app.command()
def status() -> None:
    """Show how this clone's stack is; exit code 1 if it is not up or something is not running."""
    from reki.up import show

    if not show():
        raise typer.Exit(1)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up afterwards.")] = False,
) -> None:
    """Show the whole walk on real data, from an event to another ranking, and measure it."""
    from reki.demo.run import main as run_demo

    code = run_demo(keep=keep)
    if code:
        raise typer.Exit(code)


@app.command(name="load-sample")
def load_sample() -> None:
    """Fill the running stack with MovieLens-100K and its recorded knowledge; run again, it keeps what is newer."""
    from reki.jobs import load_sample as run_load_sample

    run_load_sample()


@app.command()
def worker(name: Annotated[Literal["stream", "refresh"], typer.Argument(help="Which one.")]) -> None:
    """Run one worker in this process, against the broker and stores of the settings."""
    from reki.workers import main as run_worker

    raise typer.Exit(run_worker([name]))


@app.command()
def forget(user: User) -> None:
    """Forget a user: state, features online and offline, cached LLM answers. Replaying the topic does not undo it."""
    from reki.jobs import forget as run_forget

    run_forget(user)


@app.command()
def refresh(user: User) -> None:
    """Ask for new knowledge about a user now, whatever the policy says."""
    from reki.jobs import refresh as run_refresh

    run_refresh(user)


@app.command()
def rebuild() -> None:
    """Restore users' states and the online rows from the offline store, after the online store was lost."""
    from reki.jobs import rebuild as run_rebuild

    run_rebuild()


@app.command()
def compact(
    purge: Annotated[
        bool, typer.Option("--purge", help="Take deleted rows (forgotten users) out of the files too, at once.")
    ] = False,
) -> None:
    """Tidy the offline store now: doubles, small files, old versions. The refresh worker does it now and then."""
    from reki.jobs import compact as run_compact

    run_compact(purge)


def main() -> int:
    """Entry point. What a person can mend is one sentence: exit 2 (mend it first) or 1 (try again later)."""
    try:
        app()
    except RekiError as error:
        print(f"reki: {error.message}", file=sys.stderr)
        return 2 if isinstance(error, TerminalError) else 1
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stderr.close()
        return 1
    except OSError as error:
        if error.filename is None:
            raise  # not a file that somebody named
        print(f"reki: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0
