"""All settings as one frozen object, composed of the rooms' own.

A setting `x` of any room is `REKI_X` in the environment and `x` in the room's table of `reki.toml`; what stands in
neither is the address of this clone's stack where that is what the setting means, else the room's default.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource

from encoders.settings import EncoderSettings
from feature_repo.settings import FeatureSettings
from knowledge.base import TerminalError
from knowledge.settings import KnowledgeSettings
from ranking.settings import RankingSettings
from reki.paths import ROOT, ports_file
from reki.shell_settings import ShellSettings
from reki.stack.ports import StackPorts
from serving.settings import ServingSettings
from streams.settings import StreamSettings

PREFIX = "REKI_"
# Names a file with every setting, written by a stack for the processes that it starts.
SETTINGS_FILE = "REKI_SETTINGS"
# Read by scripts/setup and by reki.paths, not here.
_OTHER_VARIABLES = {SETTINGS_FILE, "REKI_PYTHON", "REKI_STATE_DIR"}

ROOMS: dict[str, type[BaseModel]] = {
    "knowledge": KnowledgeSettings,
    "encoders": EncoderSettings,
    "feature_repo": FeatureSettings,
    "ranking": RankingSettings,
    "streams": StreamSettings,
    "serving": ServingSettings,
    "reki": ShellSettings,
}
FIELD_ROOM = {name: room for room, model in ROOMS.items() for name in model.model_fields}


class Source(StrEnum):
    """Where the value of a setting came from."""

    ENVIRONMENT = "environment"
    FILE = "reki.toml"
    STACK = "this clone's stack"
    FOLDER = "cache or data_dir"
    DEFAULT = "default"
    CALLER = "command"


class Settings(BaseModel):
    """Every setting; `settings.streams.kafka_bootstrap`, for example. Relative folders are already absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    knowledge: KnowledgeSettings
    encoders: EncoderSettings
    feature_repo: FeatureSettings
    ranking: RankingSettings
    streams: StreamSettings
    serving: ServingSettings
    reki: ShellSettings
    sources: dict[str, Source] = Field(default_factory=dict)

    def value(self, field: str) -> Any:  # noqa: ANN401 - settings are of many types
        """The value of a field by its unique name."""
        return getattr(getattr(self, FIELD_ROOM[field]), field)

    def is_explicit(self, field: str) -> bool:
        """Whether somebody chose the value (environment, file, command), rather than a default."""
        return self.sources.get(field, Source.DEFAULT) in {Source.ENVIRONMENT, Source.FILE, Source.CALLER}

    def replaced(self, source: Source = Source.CALLER, /, **values: Any) -> Self:  # noqa: ANN401 - as above
        """A copy with some fields changed, checked like any other value; raises `TerminalError` (`bad_setting`)."""
        rooms = {room: dict(getattr(self, room)) for room in ROOMS}
        for field, value in values.items():
            if field not in FIELD_ROOM:
                raise TerminalError("bad_setting", f"there is no setting {field!r}")
            rooms[FIELD_ROOM[field]][field] = value
        sources = {**self.sources, **dict.fromkeys(values, source)}
        checked = {room: _check(room, fields, sources) for room, fields in rooms.items()}
        return type(self)(**checked, sources=sources)

    def write(self, file: Path) -> None:
        """Write all but secrets to `file`, for a child process; secrets travel in the environment."""
        file.parent.mkdir(parents=True, exist_ok=True)
        secrets = {
            room: {name for name in model.model_fields if isinstance(getattr(getattr(self, room), name), SecretStr)}
            for room, model in ROOMS.items()
        }
        draft = file.with_suffix(".draft")
        draft.write_text(self.model_dump_json(exclude=secrets, indent=1))
        draft.chmod(0o600)
        draft.replace(file)


def _check(room: str, values: Mapping[str, Any], sources: Mapping[str, Source]) -> BaseModel:
    try:
        return ROOMS[room].model_validate(dict(values))
    except ValidationError as error:
        # The input is left out of the sentence: it may be a secret.
        first = error.errors(include_input=False, include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # several settings that do not go together: the message names them
            named = [field for field in ROOMS[room].model_fields if re.search(rf"\b{field}\b", message)]
            variables = ", ".join(PREFIX + field.upper() for field in named)
            hint = f" (in the environment: {variables})" if named else ""
            raise TerminalError("bad_setting", f"settings of [{room}]: {message}{hint}") from None
        field = str(first["loc"][0])
        name = PREFIX + field.upper() if sources.get(field) is Source.ENVIRONMENT else f"[{room}] {field}"
        raise TerminalError("bad_setting", f"setting {name} is not usable: {message}") from None


def _from_environment(room: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """The room's values in the environment, lists and numbers parsed by pydantic-settings."""
    reader = type("Reader", (ROOMS[room], BaseSettings), {"__module__": __name__})
    source = EnvSettingsSource(reader, case_sensitive=False, env_prefix=PREFIX, env_ignore_empty=True)
    source.env_vars = {name.lower(): value for name, value in environ.items() if value}
    return dict(source())


def _from_file(file: Path) -> dict[str, dict[str, Any]]:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise TerminalError("bad_setting", f"{file} cannot be read: {error}") from error
    for room, values in tables.items():
        if room not in ROOMS or not isinstance(values, dict):
            raise TerminalError(
                "bad_setting", f"{file}: [{room}] is not a table of settings; there are {', '.join(ROOMS)}"
            )
        for field in values:
            if field not in ROOMS[room].model_fields:
                home = FIELD_ROOM.get(field)
                hint = f"it belongs into [{home}]" if home else "`reki settings` lists what there is"
                raise TerminalError("bad_setting", f"{file}: there is no setting {field} in [{room}]: {hint}")
    return tables


def _folders(settings: Settings, root: Path) -> Settings:
    """Make folders absolute; the defaults below `.reki/cache` and `.reki/data` follow `cache` and `data_dir`."""
    moved: dict[Source, dict[str, Any]] = {}
    cache, data = root / settings.reki.cache, root / settings.reki.data_dir
    for field in FIELD_ROOM:
        value = settings.value(field)
        if field == "scenario" and value.endswith(".toml"):  # a file of one's own; else a built-in scenario's name
            moved.setdefault(settings.sources[field], {})[field] = str(root / Path(value).expanduser())
        if not isinstance(value, Path):
            continue
        source, target = settings.sources[field], root / value
        for default, folder in ((Path(".reki/cache"), cache), (Path(".reki/data"), data)):
            if source is Source.DEFAULT and value.is_relative_to(default) and folder != root / default:
                source, target = Source.FOLDER, folder / value.relative_to(default)
        if field in {"cache", "data_dir"}:
            source = settings.sources[field]
        moved.setdefault(source, {})[field] = target
    for source, values in moved.items():
        settings = settings.replaced(source, **values)
    return settings


def unknown_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """`REKI_` variables that mean nothing: probably misspelt."""
    known = {PREFIX + field.upper() for field in FIELD_ROOM} | _OTHER_VARIABLES
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def stack_values(addresses: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What of a stack's addresses counts beside what somebody chose."""
    values = {field: value for field, value in addresses.items() if field not in chosen}
    if chosen.get("llm", "embedded") != "embedded":
        values.pop("llm_base_url", None)  # the embedded server is not run, and must not be taken for another
    return values


def load_settings(
    root: Path = ROOT, environ: Mapping[str, str] = os.environ, ports: StackPorts | None = None
) -> Settings:
    """Read the settings of the clone at `root`; raises `TerminalError` (`bad_setting`) with the name of the culprit.

    `ports` are those of the stack to point at; by default the clone's own, if it has drawn some.
    """
    if environ.get(SETTINGS_FILE):
        return _from_stack(Path(environ[SETTINGS_FILE]), environ)
    tables = _from_file(root / "reki.toml")
    known_ports = ports or StackPorts.drawn_before(ports_file() if root == ROOT else root / ".reki" / "ports.json")
    addresses = known_ports.addresses() if known_ports else {}
    sources: dict[str, Source] = dict.fromkeys(FIELD_ROOM, Source.DEFAULT)
    chosen: dict[str, Any] = {}
    for room in ROOMS:
        for source, found in (
            (Source.FILE, tables.get(room, {})),
            (Source.ENVIRONMENT, _from_environment(room, environ)),
        ):
            chosen.update(found)
            sources.update(dict.fromkeys(found, source))
    if environ.get("KAFKA_HOME") and "kafka_home" not in chosen:
        chosen["kafka_home"], sources["kafka_home"] = environ["KAFKA_HOME"], Source.ENVIRONMENT
    if "llm_base_url" in chosen and "llm" not in chosen:
        # Whoever names a server wants it asked.
        chosen["llm"], sources["llm"] = "openai", sources["llm_base_url"]
    for field, value in stack_values(addresses, chosen).items():
        chosen[field], sources[field] = value, Source.STACK
    rooms = {
        room: _check(room, {name: chosen[name] for name in model.model_fields if name in chosen}, sources)
        for room, model in ROOMS.items()
    }
    return _folders(Settings(**rooms, sources=sources), root)


def _from_stack(file: Path, environ: Mapping[str, str]) -> Settings:
    try:
        settings = Settings.model_validate_json(file.read_text())
    except (OSError, ValidationError) as error:
        raise TerminalError("bad_setting", f"{file} (from {SETTINGS_FILE}) cannot be read: unset it") from error
    secrets = {
        field: value
        for room in ROOMS
        for field, value in _from_environment(room, environ).items()
        if isinstance(settings.value(field), SecretStr)
    }
    return settings.replaced(Source.ENVIRONMENT, **secrets)
