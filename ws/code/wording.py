"""The wording in code: text for people on which nothing else depends."""

import ast
from types import ModuleType

from ws.code.forms import Ref
from ws.code.machinery import is_machinery
from ws.code.names import live
from ws.code.trees import package_of

_CARRIERS = (StopIteration, StopAsyncIteration, SystemExit)
"""Exceptions whose arguments are a result, not wording."""


def is_message(ref: Ref, module: ModuleType, *, raised: bool) -> bool:
    """Whether a call makes an exception that only tells people something.

    That is so for this package's errors wherever they are made, and for those of Python or a library where they are
    raised. Not for an exception class of some other module: whoever catches it may read its arguments.
    """
    value = live(ref, module)
    if not isinstance(value, type):
        return raised and value is None and ref.imported is not None
    if not issubclass(value, BaseException):
        return False
    if any(is_machinery(base.__module__) for base in value.__mro__):
        return True
    is_own = value.__module__.partition(".")[0] == package_of(module).partition(".")[0]
    return raised and not is_own and not issubclass(value, _CARRIERS)


def is_text(node: ast.expr) -> bool:
    """Whether an expression is a string literal, plain or with values filled in."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def is_bare_constant(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring or `...`."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
