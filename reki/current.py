"""The settings that count for a command: those of this clone, pointed at its stack if one is up."""

from knowledge.base import TerminalError
from reki.paths import run_dirs
from reki.settings import Settings, Source, load_settings
from reki.stack import control

# What a running stack decides: where things are. All else is a matter of this command's own settings.
_PLACES = (
    "namespace",
    "redis_url",
    "kafka_bootstrap",
    "kafka_last_resort",
    "llm",
    "llm_base_url",
    "triton_grpc_url",
    "triton_http_url",
    "data_dir",
    "offline_dir",
    "registry_path",
    "release",
)


def reachable_settings() -> Settings:
    """`current_settings` for a command that needs broker and store; raises `TerminalError` (`not_up`) without any."""
    settings = current_settings()
    own = settings.is_explicit("redis_url") and settings.is_explicit("kafka_bootstrap")
    if not own and not any(control.is_up(run_dir) for run_dir in run_dirs().values()):
        raise TerminalError(
            "not_up",
            "no stack of this clone is up: start one with `reki up`, or name a broker and a store of your own with "
            "REKI_KAFKA_BOOTSTRAP and REKI_REDIS_URL",
        )
    return settings


def current_settings() -> Settings:
    """Settings from environment and file; the rest from the stack of this clone that is up, if there is one."""
    settings = load_settings()
    for run_dir in run_dirs().values():
        if control.is_up(run_dir):
            from reki.stack import services  # and with it the libraries of all that a stack runs

            stack = load_settings(environ={"REKI_SETTINGS": str(services.settings_file(run_dir))})
            places = {field: stack.value(field) for field in _PLACES if not settings.is_explicit(field)}
            return settings.replaced(Source.STACK, **places)
    return settings
