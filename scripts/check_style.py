"""Checks of the house style that a script can make; exits 1 and lists every finding.

Run it as ``python scripts/check_style.py``. Each rule is one small function over one parsed module.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "marketprism"
REFERENCE = ROOT / "docs" / "reference" / "api.md"
PURE = {
    "core",
    "simulate",
    "book",
    "buckets",
    "factors",
    "labels",
    "models",
    "evaluate",
    "testing",
    "backtest",
    "strategies",
}
MAX_MODULE_LINES = 500
MAX_FUNCTION_LINES = 80
WALL_CLOCK = {
    ("time", "time"),
    ("time", "time_ns"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
}
GLOBAL_RANDOM = {"seed", "rand", "randn", "randint", "random", "shuffle", "choice", "normal", "uniform", "permutation"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")

Finding = str


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lengths(path: Path, text: str, tree: ast.Module) -> Iterator[Finding]:
    """Modules and functions stay short."""
    lines = text.count("\n")
    if lines > MAX_MODULE_LINES:
        yield f"{path}: {lines} lines, at most {MAX_MODULE_LINES}"
    for node in _functions(tree):
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > MAX_FUNCTION_LINES:
            yield f"{path}:{node.lineno}: {node.name} has {length} lines, at most {MAX_FUNCTION_LINES}"


def exports(path: Path, _text: str, tree: ast.Module) -> Iterator[Finding]:
    """Modules with public names list them in ``__all__`` (ruff keeps it sorted)."""
    listed = any(
        isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
        for node in tree.body
    )
    public = [
        n.name
        for n in tree.body
        if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) and not n.name.startswith("_")
    ]
    if public and not listed:
        yield f"{path}: defines {public[0]} but has no __all__"


def asserts(path: Path, _text: str, tree: ast.Module) -> Iterator[Finding]:
    """User data are checked with errors that speak, never with assert."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield f"{path}:{node.lineno}: assert in src; raise an error that names the value and the remedy"


def purity(path: Path, _text: str, tree: ast.Module) -> Iterator[Finding]:
    """Pure layers read no wall clock and hold no global random state."""
    if path.relative_to(SRC).parts[0] not in PURE:
        return
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner, name = node.func.value, node.func.attr
        if isinstance(owner, ast.Name) and (owner.id, name) in WALL_CLOCK:
            yield f"{path}:{node.lineno}: wall clock ({owner.id}.{name}) in a pure layer"
        is_numpy = isinstance(owner, ast.Attribute) and owner.attr == "random" and name in GLOBAL_RANDOM
        is_python = isinstance(owner, ast.Name) and owner.id == "random" and name in GLOBAL_RANDOM
        if is_numpy or is_python:
            yield f"{path}:{node.lineno}: global random state ({name}) in a pure layer"


def set_iteration(path: Path, _text: str, tree: ast.Module) -> Iterator[Finding]:
    """Iterate no set: the order differs from process to process."""
    for node in ast.walk(tree):
        iterables = []
        if isinstance(node, ast.For):
            iterables.append(node.iter)
        elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp):
            iterables += [generator.iter for generator in node.generators]
        for it in iterables:
            called = isinstance(it, ast.Call) and isinstance(it.func, ast.Name) and it.func.id in {"set", "frozenset"}
            if called or isinstance(it, ast.Set | ast.SetComp):
                yield f"{path}:{it.lineno}: iterates over a set; sort it first"


def unfinished(path: Path, text: str, _tree: ast.Module) -> Iterator[Finding]:
    """Nothing unfinished is called done."""
    for number, line in enumerate(text.splitlines(), 1):
        if UNFINISHED.search(line):
            yield f"{path}:{number}: unfinished mark: {line.strip()[:80]}"


def reference() -> Iterator[Finding]:
    """Every public name is in the reference."""
    text = REFERENCE.read_text() if REFERENCE.exists() else ""
    tree = ast.parse((SRC / "__init__.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            for name in ast.literal_eval(node.value):
                if name != "__version__" and f"`{name}`" not in text:
                    yield f"docs/reference/api.md: public name {name} is missing"


def main() -> int:
    """Run every rule over every module of the package and print what was found."""
    findings = list(reference())
    for path in sorted(SRC.rglob("*.py")):
        text = path.read_text()
        tree = ast.parse(text)
        for rule in (lengths, exports, asserts, purity, set_iteration, unfinished):
            findings += [finding.replace(f"{ROOT}/", "") for finding in rule(path, text, tree)]
    for finding in findings:
        print(finding)
    print(f"house style: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
