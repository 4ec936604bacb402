"""Writes feature_store.yaml and applies the definitions, as `feast apply` would."""

import importlib
import json
import os
import shutil
import sys
import types
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from feature_repo.schema import SLOTS
from feature_repo.settings import FeatureSettings
from knowledge.base import RekiError, TerminalError

_HERE = Path(__file__).resolve().parent
_COPIED = ("definitions.py", ".feastignore")


def render(settings: FeatureSettings, active_slot: str | None = None) -> Path:
    """Write `<feast_repo>/feature_store.yaml` with literal values, and create the offline data sets; returns its path.

    Without `active_slot` the one that the file already names stays, else it is blue. A `feast_repo` other than this
    package gets a copy of the definitions, so that plain `feast` commands work there too.
    """
    from feature_repo.offline import OfflineBuffer

    repo = settings.feast_repo.absolute()
    target = repo / "feature_store.yaml"
    slot = active_slot or _slot(target)
    if slot not in SLOTS:
        raise TerminalError("bad_slot", f"the active slot is one of {SLOTS}, not {slot!r}")
    repo.mkdir(parents=True, exist_ok=True)
    if repo.resolve() != _HERE:
        for name in _COPIED:
            if name != ".feastignore" or not (repo / name).exists():  # a team may have named files of its own there
                shutil.copyfile(_HERE / name, repo / name)
    registry = settings.registry_path.absolute()
    registry.parent.mkdir(parents=True, exist_ok=True)
    text = (_HERE / "feature_store.template.yaml").read_text()
    text = text.format(
        project=json.dumps(settings.namespace),
        registry=json.dumps(str(registry)),
        redis=json.dumps(connection_string(settings.redis_url)),
        offline=json.dumps(str(settings.offline_dir.absolute())),
        slot=json.dumps(slot),
    )
    _replace(target, text)
    OfflineBuffer(settings.offline_dir).create()
    return target


def apply(settings: FeatureSettings, active_slot: str | None = None) -> None:
    """Render, and bring the registry to what the definitions say. Needs no running Redis.

    Every file is applied that `feast apply` would take: also a team's own beside the definitions.
    Raises `TerminalError` (`bad_definitions`) naming a file that cannot be imported.
    """
    target = render(settings, active_slot)
    from feast import FeatureStore
    from feast.repo_operations import get_repo_files

    files = {_module_name(path, target.parent): path for path in get_repo_files(target.parent)}
    found: dict[int, Any] = {}  # by identity: one file may import what another defines
    with _importable(target.parent, files):
        for name, path in files.items():
            for thing in vars(_load(name, path)).values():
                if isinstance(thing, _applied_types()):
                    found[id(thing)] = thing
        try:
            FeatureStore(repo_path=str(target.parent)).apply(list(found.values()))
        except RekiError:
            raise
        except Exception as error:
            names = ", ".join(path.name for path in files.values())
            raise TerminalError(
                "bad_definitions", f"Feast refuses what {names} in {target.parent} define ({_line(error)}): correct it"
            ) from error


def connection_string(redis_url: str) -> str:
    """Feast's spelling of a Redis address: `host:port,db=0,ssl=true,username="...",password="..."`."""
    parts = urlsplit(redis_url)
    if not parts.hostname or ":" in parts.hostname:
        raise TerminalError("bad_redis_url", "Feast needs a Redis host name or an IPv4 address")
    options = [f"{parts.hostname}:{parts.port or 6379}", f"db={parts.path.strip('/') or '0'}"]
    if parts.scheme == "rediss":
        options.append("ssl=true")
    for name, value in (("username", parts.username), ("password", parts.password)):
        if value:
            plain = unquote(value)
            if "," in plain or "$" in plain:
                raise TerminalError("bad_redis_url", f"Feast cannot read a Redis {name} with a comma or a dollar sign")
            options.append(f"{name}={json.dumps(plain)}")
    return ",".join(options)


def _slot(target: Path) -> str:
    if not target.exists():
        return SLOTS[0]
    import yaml

    try:
        slot = yaml.safe_load(target.read_text())["reki"]["active_slot"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, yaml.YAMLError):
        return SLOTS[0]  # the file is generated: whatever became of it, it is written anew
    return slot if slot in SLOTS else SLOTS[0]


def _replace(target: Path, text: str) -> None:
    """Write at once and for the owner alone: the file may hold a password."""
    if target.exists() and target.read_bytes() == text.encode():
        return
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    os.replace(fresh, target)


def _module_name(path: Path, folder: Path) -> str:
    return ".".join(path.relative_to(folder.resolve()).with_suffix("").parts)


@contextmanager
def _importable(folder: Path, names: Iterable[str]) -> Iterator[None]:
    """As in Feast's own apply, files of the folder may import each other; anew, for they may have changed."""
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(folder.resolve()))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def _load(name: str, path: Path) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except RekiError:
        raise
    except Exception as error:
        raise TerminalError(
            "bad_definitions",
            f"{path} cannot be imported ({_line(error)}): correct it, or name it in .feastignore beside it",
        ) from error


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


def _applied_types() -> tuple[type, ...]:
    from feast import Entity, FeatureService, FeatureView, OnDemandFeatureView, Project
    from feast.data_source import DataSource
    from feast.permissions.permission import Permission

    return (Project, Entity, DataSource, FeatureView, OnDemandFeatureView, FeatureService, Permission)
