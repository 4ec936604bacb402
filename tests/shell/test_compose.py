"""compose.yaml cannot be run here (no Docker): what it names must at least exist."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
import yaml

from reki.paths import ROOT
from reki.settings import PREFIX, load_settings, unknown_variables

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
# Made at set-up or when the stack runs.
_LATER = {"/data/feature_repo", "/models", "/data/triton"}


def test_it_has_the_services_of_the_design():
    assert {"kafka", "redis", "vllm", "triton", "stream", "refresh", "feature-server", "feast-ui"} <= set(SERVICES)
    assert {"prometheus", "grafana"} <= set(SERVICES)


def test_every_port_is_published_on_loopback_alone():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) >= 3
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_what_shares_the_hosts_network_listens_on_loopback():
    sharing = {name for name, service in SERVICES.items() if service.get("network_mode") == "host"}
    assert sharing == {*OURS, "prometheus", "grafana"}
    assert "--web.listen-address=127.0.0.1:" in SERVICES["prometheus"]["command"]
    assert SERVICES["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    for name in ("feature-server", "feast-ui"):
        assert "127.0.0.1" in OURS[name]["command"]


def test_every_secret_comes_from_the_environment_and_has_no_default():
    text = (ROOT / "compose.yaml").read_text()
    used = set(re.findall(r"\$\{(\w+)", text))
    named = set(re.findall(r"^(\w+)=", (ROOT / "deploy/env.example").read_text(), re.MULTILINE))
    assert used == named
    for secret in ("REDIS_PASSWORD", "GRAFANA_PASSWORD", "VLLM_API_KEY"):
        assert set(re.findall(rf"\$\{{{secret}(.)", text)) == {":"}
        assert f"${{{secret}:?" in text
        assert f"${{{secret}:-" not in text


def test_every_mounted_file_of_ours_exists():
    mounted = [
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]
    assert mounted
    assert [path for path in mounted if not (ROOT / path).exists()] == []
    named = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert {name for name in named if re.fullmatch(r"\w+", name)} == set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_of_ours_exists(name):
    command = OURS[name]["command"]
    program = ROOT / command[0]
    assert program.exists(), command[0]
    if command[1] == "-m":
        assert importlib.util.find_spec(command[2]) is not None
    elif program.name == "reki":
        from reki.workers import WORKERS

        assert command[1:] == ["worker", name]
        assert name in WORKERS
    else:
        assert program.name == "feast"
    paths = {part.split("=")[-1] for part in command if "/" in part} - {command[0]}
    assert paths <= _LATER | {"/models"}


def test_the_launcher_takes_the_options_it_is_given():
    from serving import launcher

    made = launcher.start_command(
        Path("python"), Path("/models"), Path("/data/triton"), launcher.Ports(8000, 8001, 8002)
    )
    wanted = [part for option in OURS["triton"]["command"] for part in option.split("=")]
    assert wanted[1:] == made[1:]


def test_every_setting_in_it_exists_and_is_usable(tmp_path):
    values = {
        name: re.sub(r"\$\{\w+:[?-]([^}]*)\}", "x", str(value)) for name, value in OURS["stream"]["environment"].items()
    }
    values = {name: "" if name == "REKI_RELEASE" else value for name, value in values.items()}
    values["REKI_NAMESPACE"] = "reki"
    assert all(name.startswith(PREFIX) for name in values)
    assert unknown_variables(values) == []
    settings = load_settings(tmp_path, values)
    assert settings.knowledge.llm == "openai"
    assert settings.feature_repo.registry_path == Path("/data/registry.db")


def test_prometheus_reads_the_ports_that_are_set():
    config = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text())
    targets = {job["job_name"]: job["static_configs"][0]["targets"][0] for job in config["scrape_configs"]}
    environment = OURS["stream"]["environment"]
    assert targets["reki-stream"] == f"127.0.0.1:{environment['REKI_STREAM_HEALTH_PORT']}"
    assert targets["reki-refresh"] == f"127.0.0.1:{environment['REKI_REFRESH_HEALTH_PORT']}"
    assert "--metrics-port=" + targets["triton"].split(":")[1] in OURS["triton"]["command"]
    assert targets["vllm"].split(":")[1] == SERVICES["vllm"]["ports"][0].split(":")[1]


def test_the_dashboard_asks_for_metrics_that_the_workers_have():
    dashboard = json.loads((ROOT / "deploy/grafana/dashboards/reki.json").read_text())
    asked = {
        re.sub(r"_(total|bucket)$", "", name)
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\breki_\w+", target["expr"])
    }
    source = "".join((ROOT / "streams" / name).read_text() for name in ("stream_metrics.py", "refresh_metrics.py"))
    assert asked
    assert {name for name in asked if f'"{name}"' not in source} == set()


def test_the_image_is_built_from_files_that_exist():
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    assert "scripts/setup --environments" in dockerfile
    assert "--environments" in (ROOT / "scripts/setup").read_text()
    assert ".env\n" in (ROOT / ".dockerignore").read_text()
