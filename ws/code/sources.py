"""The source code behind a result, as one hash that changes exactly if the code could change the result.

The walk starts at one function and follows every global name to code or constants of `ws` or of the function's own
package, until nothing new is found. Definitions are hashed in their normal form (`ws.code.normal`), in which they
refer to each other by the number at which the walk found them. So their names, modules and order do not matter.
Constants are hashed by value, things of other libraries by the name they are imported under. Not followed: other
libraries, data files and modules imported under a computed name.

A dict of modules, functions, classes or records is a registry: code that asks for one entry does not depend on others.
"""

from collections.abc import Callable, Collection
from typing import Any

from ws.code.graph import graph_of
from ws.code.names import package_names
from ws.code.values import Opaque, name_of
from ws.code.walk import Walk
from ws.errors import StoreError


def source_hash(fn: Callable[..., Any], *, only: Collection[str] = (), owners: Collection[type] = ()) -> str:
    """The sha256 of all the source that `fn` can reach.

    `only` are names that narrow registries: a registry with some of these names counts only with their entries and
    with entries that reached code asks for by a literal name; a registry with none of them counts whole. `owners` are
    classes of objects passed to `fn`: a member of theirs counts if reached code reads an attribute of its name.

    Raises: StoreError if the source of something reached is not found, or was edited since the process began.
    """
    return _walked(fn, only, owners).hash()


def reached(fn: Callable[..., Any], *, only: Collection[str] = (), owners: Collection[type] = ()) -> dict[str, str]:
    """The texts that `source_hash` of the same arguments covers, by name: compare two to see why a key changed."""
    return _walked(fn, only, owners).parts()


def _walked(fn: Callable[..., Any], only: Collection[str], owners: Collection[type]) -> Walk:
    walk = Walk(graph_of(package_names(fn.__module__)), frozenset(only), owners)
    try:
        walk.start(fn)
    except Opaque as missing:
        raise StoreError(
            f"cannot find the source of {name_of(fn)} ({missing}), so no key covers it; "
            "define it with def, at the top of a module in a file"
        ) from None
    return walk
