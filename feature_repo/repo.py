"""Writes feature_store.yaml and applies the definitions, as `feast apply` would."""

import importlib.util
import json
import os
import shutil
import sys
import types
from pathlib import Path
from urllib.parse import unquote, urlsplit

from feature_repo.schema import SLOTS
from feature_repo.settings import FeatureSettings
from knowledge.base import TerminalError

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
    """Render, and bring the registry to what the definitions say. Needs no running Redis."""
    target = render(settings, active_slot)
    from feast import FeatureStore

    definitions = _load(target.with_name("definitions.py"))
    store = FeatureStore(repo_path=str(target.parent))
    store.apply([thing for thing in vars(definitions).values() if type(thing) in _applied_types()])


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

    config = yaml.safe_load(target.read_text()) or {}
    return str(config.get("reki", {}).get("active_slot", SLOTS[0]))


def _replace(target: Path, text: str) -> None:
    """Write at once and for the owner alone: the file may hold a password."""
    if target.exists() and target.read_text() == text:
        return
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    os.replace(fresh, target)


def _load(path: Path) -> types.ModuleType:
    """Import the definitions anew: they read the file that was just written."""
    spec = importlib.util.spec_from_file_location("_reki_definitions", path)
    if spec is None or spec.loader is None:
        raise TerminalError("no_definitions", f"{path} cannot be imported: restore it from the repository")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _applied_types() -> set[type]:
    from feast import Entity, FeatureService, FeatureView, Project, PushSource
    from feast.permissions.permission import Permission

    return {Project, Entity, PushSource, FeatureView, FeatureService, Permission}
