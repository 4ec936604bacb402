"""The rules that keep the house in order, checked on the syntax tree of every file."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from reki.paths import ROOT

# In the order in which data walks through them: a room imports from rooms above it only.
ROOMS = ("knowledge", "encoders", "feature_repo", "ranking", "streams", "serving", "reki")
LONGEST = 300


def _files(*folders):
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def _tree(path):
    return ast.parse(path.read_text(), str(path))


def _imports(tree):
    """(module, name or None, line) of every absolute import, also of those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.module, alias.name, node.lineno) for alias in node.names)


def _where(path, line):
    return f"{path.relative_to(ROOT)}:{line}"


def _upward(room, tree):
    allowed = ROOMS[: ROOMS.index(room) + 1]
    return [
        (module, line)
        for module, _, line in _imports(tree)
        if module.split(".")[0] in ROOMS and module.split(".")[0] not in allowed
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_rooms_above_it(room):
    wrong = [f"{_where(path, line)} imports {m}" for path in _files(room) for m, line in _upward(room, _tree(path))]
    assert wrong == []


def test_the_order_is_really_checked():
    assert _upward("encoders", ast.parse("def f():\n    from serving.client import RekiClient"))
    assert not _upward("serving", ast.parse("import encoders.hein"))


@pytest.mark.parametrize("room", ROOMS)
def test_nobody_imports_a_neighbours_underscore(room):
    wrong = [
        f"{_where(path, line)}: from {module} import {name}"
        for path in _files(room)
        for module, name, line in _imports(_tree(path))
        if module.split(".")[0] in ROOMS
        and module.split(".")[0] != room
        and any(part.startswith("_") and not part.startswith("__") for part in [*module.split("."), name or ""])
    ]
    assert wrong == []


def test_imports_are_absolute():
    wrong = [
        _where(path, node.lineno)
        for path in _files(*ROOMS)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert wrong == []


def test_no_file_is_too_long_to_read():
    files = [*_files(*ROOMS, "tests", "benchmarks"), *(ROOT / "scripts").iterdir()]
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files if path.is_file()}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_nothing_that_runs_code_when_read_is_used():
    banned = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    wrong = []
    for path in _files(*ROOMS, "benchmarks"):
        tree = _tree(path)
        wrong += [
            f"{_where(path, line)} {module}" for module, _, line in _imports(tree) if module.split(".")[0] in banned
        ]
        wrong += [
            f"{_where(path, node.lineno)} torch.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and node.attr in {"load", "save"}
            and isinstance(node.value, ast.Name)
            and node.value.id == "torch"
        ]
    assert wrong == []


def _environment(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            if node.attr in {"environ", "environb", "getenv", "putenv", "unsetenv"}:
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (node.lineno for alias in node.names if alias.name in {"environ", "environb", "getenv"})


# The one file whose purpose is to become another program, with an environment made for it.
MAY_SEE_ENVIRONMENT = {"serving/launcher.py"}


def test_no_room_reads_the_environment():
    wrong = [
        _where(path, line)
        for path in _files(*ROOMS[:-1])
        if str(path.relative_to(ROOT)) not in MAY_SEE_ENVIRONMENT
        for line in _environment(_tree(path))
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ROOMS)
def test_importing_a_room_loads_neither_torch_nor_feast(package):
    code = f"import sys, {package}; print([name for name in ('torch', 'feast', 'faust') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "name", ["reki.settings", "reki.cli", "reki.stack.stack", "streams.policy", "feature_repo.schema"]
)
def test_a_light_module_stays_light(name):
    code = f"import sys, {name}; print([name for name in ('torch', 'feast', 'faust') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_reki_exports_is_there():
    import reki

    assert {name for name in reki.__all__ if getattr(reki, name) is None} == set()
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = reki.nothing


@pytest.mark.parametrize("name", ["/work", "/root", "shared/", "/tmp/"])
def test_no_file_names_a_place_of_the_workshop(name):
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    here = str(Path(__file__).resolve().relative_to(ROOT))
    wrong = [
        file
        for file in tracked
        if file != here
        and (ROOT / file).suffix in {".py", ".sh", ".toml", ".md", ".yaml", ".yml", ".lua", ".pbtxt"}
        and (ROOT / file).exists()
        and (f" {name}" in (text := (ROOT / file).read_text()) or f'"{name}' in text or f"../{name}" in text)
    ]
    assert wrong == []


def test_no_lock_names_an_index():
    for lock in (ROOT / "locks").glob("*.txt"):
        assert "://" not in lock.read_text(), lock.name
