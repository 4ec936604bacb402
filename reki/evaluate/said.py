"""What the command line said and would not be followed: refused, never ignored in silence."""

from collections.abc import Mapping

import typer

from knowledge.base import TerminalError
from reki.evaluate.options import listed


def said(context: typer.Context, name: str) -> bool:
    """Whether this parameter stood on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def fixed(context: typer.Context, values: Mapping[str, object]) -> None:
    """Refuse options that a quick run would not follow; `values`: parameter -> what a quick run takes for it.

    Raises `TerminalError` (`bad_option`) where the command line said anything else.
    """
    against = [name for name, value in values.items() if said(context, name) and context.params[name] != value]
    if against:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in against)
        takes = ", ".join(f"{name.replace('_', ' ')} {_word(value)}" for name, value in values.items())
        raise TerminalError("bad_option", f"--quick decides {options} itself ({takes}): leave out one or the other")


def narrowed(context: typer.Context, name: str, few: str) -> str:
    """The names of an option as they were said, else the `few` of a quick run."""
    return str(context.params[name]) if said(context, name) else few


def within(context: typer.Context, name: str, whole: str, of: str) -> None:
    """Refuse names of an option that are not among `whole`, the names of the option `of` that it chooses from.

    Raises `TerminalError` (`bad_option`) where the command line said one.
    """
    names = listed(str(context.params[name])) if said(context, name) else ()
    strange = [one for one in names if one not in (*listed(whole), "none")]
    if strange and whole != "all":
        option = name.replace("_", "-")
        raise TerminalError("bad_option", f"--{option}: {strange[0]} is not among --{of} ({whole}): name it there too")


def either(**flags: bool) -> None:
    """Raises `TerminalError` (`bad_option`) if more than one of these is set."""
    named = [f"--{name}" for name, flag in flags.items() if flag]
    if len(named) > 1:
        raise TerminalError("bad_option", f"{' and '.join(named)} exclude each other: leave out one")


def _word(value: object) -> str:
    return "no" if value is False else str(value)
