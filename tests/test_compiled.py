"""Numba keeps compiled functions under a hash of their own file alone: a file in whose functions those of others are compiled in must change with these."""

from __future__ import annotations

import ast
import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPILED = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted((ROOT / "lifesim").rglob("*.py"))
    if re.search(r"njit|@intrinsic", path.read_text(encoding="utf-8"))
}


def compiled_in(module: str) -> set[str]:
    """Return the modules with compiled functions that a module has to do with, however far away."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(COMPILED[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            for name in names & COMPILED.keys():
                found |= {name} | compiled_in(name)
    return found


def digest(modules: set[str]) -> str:
    text = "".join(COMPILED[name].read_text(encoding="utf-8") for name in sorted(modules))
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


# In an order in which those that others are built on come first.
@pytest.mark.parametrize("module", sorted(COMPILED, key=lambda name: (len(compiled_in(name)), name)))
def test_what_is_kept_compiled_changes_with_what_is_compiled_in(module: str) -> None:
    others = compiled_in(module)
    text = COMPILED[module].read_text(encoding="utf-8")
    if others and "cache=True" in text:
        line = f"# Compiled in: {digest(others)}"
        assert line in text.splitlines(), f"{COMPILED[module]} needs the line: {line}"
