"""What a result depends on, as short hashes: results of other code or other data are never mixed in unnoticed.

Code is compared by its syntax tree without docstrings, so a comment does not void hours of training. Followed are the
imports inside `encoders` and `ranking`, where numbers are made. Packages that only list backbones are not followed: a
result of one backbone does not depend on the files of the others.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_ROOMS = ("encoders", "ranking")
_LISTS = ("ranking.backbones", "ranking.rerankers")
_DIGITS = 12


def code_version(modules: Iterable[str]) -> str:
    """Hash of `code_of(modules)`, 12 hex digits."""
    digest = hashlib.sha256()
    for name, code in sorted(code_of(modules).items()):
        digest.update(f"{name}\0{code}\0".encode())
    return digest.hexdigest()[:_DIGITS]


def code_of(modules: Iterable[str]) -> dict[str, str]:
    """The code of these modules and of what they import from `encoders` and `ranking`, by module name."""
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = _source(name)
        if name in found or path is None or name in _LISTS:
            continue
        found[name], imports = _parsed(path.read_text())
        waiting += [wanted for wanted in imports if wanted.split(".")[0] in _ROOMS]
    return found


def data_version(paths: Iterable[Path]) -> str:
    """Hash of the names and bytes of these files (folders: of all files in them), 12 hex digits."""
    digest = hashlib.sha256()
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    for file in files:
        if file.is_file():
            digest.update(f"{file.name}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:_DIGITS]


def _source(name: str) -> Path | None:
    # Not by `find_spec` alone, which would import the packages around a module, and torch with them.
    path = _ROOT.joinpath(*name.split("."))
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.exists():
            return file
    spec = find_spec(name) if "." not in name else None
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


@cache
def _parsed(text: str) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(text)
    return ast.dump(_without_docstrings(tree)), tuple(_imports(tree))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and type(first.value.value) is str:
                node.body = node.body[1:]
    return tree
