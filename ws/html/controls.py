"""The controls beside the claims: tests whose statement must not hold, so that no claim holds of just anything."""

import ast
from collections.abc import Mapping
from pathlib import Path

FIXTURE = "must_not_hold"
"""What a test asks for that is a control."""


def controls(folder: Path) -> Mapping[str, tuple[str, ...]]:
    """For each module of claim tests its controls, by name and in its order."""
    return {path.name: _in_module(path) for path in sorted(folder.glob("test_*.py"))}


def _in_module(path: Path) -> tuple[str, ...]:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    tests = [node for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return tuple(test.name for test in tests if FIXTURE in {argument.arg for argument in test.args.args})
