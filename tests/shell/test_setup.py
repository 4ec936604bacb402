"""`scripts/setup` on machines that lack something: one plain sentence that says what to do, exit 2."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reki.paths import ROOT

_ABSENT = {"java", "mvn", "uv", "pip", "pip3"}
_HIDDEN = ("python", "pypy")
# An interpreter without pip, as Debian's is without the package python3-pip.
_NO_PIP = 'if [ "$1" = -c ]; then echo "$0"; else exit 1; fi'


@pytest.fixture
def machine(tmp_path):
    """A copy of what set-up reads, and a PATH of which each test can take or replace commands."""
    return Machine(tmp_path)


class Machine:
    def __init__(self, folder: Path):
        self.clone = folder / "clone"
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in ("scripts", "locks"):
            shutil.copytree(ROOT / name, self.clone / name)
        shutil.copy(ROOT / "pyproject.toml", self.clone)
        broker = Path("reki/embedded/broker")
        shutil.copytree(ROOT / broker, self.clone / broker)
        for place in ("/bin", "/usr/bin"):
            for tool in Path(place).iterdir():
                link = self.bin / tool.name
                if tool.name not in _ABSENT and not tool.name.startswith(_HIDDEN) and not link.exists():
                    link.symlink_to(tool)
        (self.bin / "python3.11").symlink_to(sys.executable)

    def replace(self, command, script):
        """Put another program in a command's place; None removes it."""
        file = self.bin / command
        file.unlink(missing_ok=True)
        if script is not None:
            file.write_text(f"#!/bin/sh\n{script}\n")
            file.chmod(0o755)

    def run(self, *arguments, **environment):
        return self.sh(f"sh scripts/setup {' '.join(arguments)}", **environment)

    def broker(self, **environment):
        """Only the part of set-up that gets the broker."""
        return self.sh(
            'set -eu; root=$PWD; state=$PWD/.reki; cache=$state/cache; mkdir -p "$cache"; '
            ". scripts/say.sh; . scripts/machine.sh; . scripts/broker.sh; get_broker",
            **environment,
        )

    def sh(self, script, **environment):
        return subprocess.run(
            ["/bin/sh", "-c", script],
            cwd=self.clone,
            env={"PATH": str(self.bin), "HOME": os.environ["HOME"], **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def _one_sentence(done):
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done
    assert lines[-1].startswith("set-up: ")
    return lines[-1]


def test_a_good_machine_passes(machine):
    done = machine.run("--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "this machine will do" in done.stdout


@pytest.mark.parametrize(
    ("command", "script", "said"),
    [
        ("uname", 'if [ "$1" = -s ]; then echo Darwin; else echo arm64; fi', "REKI runs on Linux; this is Darwin"),
        ("uname", 'if [ "$1" = -s ]; then echo Linux; else echo aarch64; fi', "needs an x86-64 processor"),
        ("getconf", "echo glibc 2.31", "glibc 2.31, and Triton needs 2.35: use Debian 12"),
        ("getconf", "exit 1", "has no glibc"),
        ("grep", "exit 1", "has no AVX2"),
        ("python3.11", None, "no Python 3.11 or 3.12 was found: install one"),
        ("python3.11", "exit 127", "no Python 3.11 or 3.12 was found: install one"),
        ("df", "echo h; echo tmpfs 63000 0 60000 0% /dev/shm", "/dev/shm is smaller than the 64 MB"),
        ("df", "echo h; echo disk 90000000 0 7000000 0% /", "7 GB of free disk and set-up needs 8 GB"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(machine, command, script, said):
    machine.replace(command, script)
    done = machine.run("--check")
    assert said in _one_sentence(done)
    assert len(done.stderr.strip().splitlines()) == 1


def test_versions_are_compared_as_numbers(machine):
    compare = ". scripts/machine.sh; at_least 2.35 2.35 && at_least 2.100 2.35 && ! at_least 2.4 2.35"
    assert machine.sh(f"state=x; {compare} && echo right").stdout == "right\n"


def test_neither_uv_nor_pip_is_said_in_one_sentence(machine):
    machine.replace("python3.11", _NO_PIP)
    assert "neither uv 0.13.0 or newer nor pip was found: install pip" in _one_sentence(machine.run())


def test_an_old_uv_on_path_is_not_used(machine):
    machine.replace("uv", "echo uv 0.4.0")
    machine.replace("python3.11", _NO_PIP)
    assert "neither uv 0.13.0 or newer nor pip" in _one_sentence(machine.run())


def test_an_index_that_is_not_reached_is_named(machine):
    uv = next(path for path in (shutil.which("uv"), str(ROOT / ".reki/uv/bin/uv")) if path and Path(path).exists())
    machine.replace("uv", f'exec {uv} "$@"')
    done = machine.run(
        UV_DEFAULT_INDEX="http://127.0.0.1:9/simple", UV_CACHE_DIR=str(machine.clone / "cache"), UV_HTTP_RETRIES="0"
    )
    said = _one_sentence(done)
    assert "could not be reached" in said
    assert "UV_DEFAULT_INDEX" in said
    assert not (machine.clone / ".venv/reki-stamp").exists()


def test_without_java_the_last_resort_is_used_and_what_is_lost_is_said(machine):
    done = machine.broker()
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert "there is no java on PATH" in done.stdout
    assert "topics live in memory and are lost" in done.stdout


def test_an_old_java_is_like_none(machine):
    machine.replace("java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2")
    assert "java 11 is too old" in machine.broker().stdout


def test_without_maven_the_last_resort_is_used(machine):
    machine.replace("java", "echo 'openjdk version \"21.0.2\" 2024-01-16' >&2")
    assert "there is no mvn on PATH" in machine.broker().stdout


def test_a_failed_fetch_stops_and_says_how_to_do_without(machine):
    machine.replace("java", "echo 'openjdk version \"17.0.2\" 2022-01-18' >&2")
    machine.replace("mvn", "echo no route to the repository; exit 1")
    done = machine.broker()
    said = _one_sentence(done)
    assert "settings.xml" in said
    assert "REKI_BROKER=last-resort" in said
    assert "no route to the repository" in done.stderr
    assert machine.broker(REKI_BROKER="last-resort").returncode == 0


def test_altered_jars_are_refused_and_not_kept(machine):
    machine.replace("java", "echo 'openjdk version \"17.0.2\" 2022-01-18' >&2")
    # As many jars of the right names, other bytes.
    sums = machine.clone / "reki/embedded/broker/sha256.txt"
    make = (
        'for a; do case $a in -DoutputDirectory=*) d=${a#*=};; esac; done; mkdir -p "$d"; '
        f"awk '{{ print $2 }}' {sums} | while read -r name; do echo x >\"$d/$name\"; done"
    )
    machine.replace("mvn", make)
    assert "do not match reki/embedded/broker/sha256.txt" in _one_sentence(machine.broker())
    assert not any((machine.clone / ".reki/cache/kafka").iterdir())


@pytest.mark.parametrize("variable", ["REKI_KAFKA_BOOTSTRAP", "KAFKA_HOME"])
def test_somebodys_own_kafka_is_not_fetched_again(machine, variable):
    done = machine.broker(**{variable: "mine"})
    assert (done.returncode, done.stdout) == (0, "")
