"""Changes to code that change no result, applied to the syntax trees of all modules of a package.

Each takes the trees by the names of their modules, changes them wherever it can tell that nothing depends on it, and
says how many places it changed.
"""

import ast
from collections import Counter
from collections.abc import Callable, Iterator

Trees = dict[str, ast.Module]
STAYING = ("ws", "ws.models.downloads", "ws.engine.loading")
"""Modules that something goes by the names of."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def reword_docstrings(trees: Trees) -> int:
    """Docstrings of functions and classes, and the texts under fields, say something else."""
    found = [
        node.value
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    for text in found:
        text.value = f"Put differently: {text.value}"
    return len(found)


def loosen_annotations(trees: Trees) -> int:
    """Functions take and return anything."""
    changed = 0
    for node in _functions(trees):
        for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            if arg.annotation is not None:
                arg.annotation, changed = ast.Constant("object"), changed + 1
        node.returns = None
    return changed


def rename_locals(trees: Trees) -> int:
    """What a function assigns is called something else in all of it."""
    changed = 0
    for node in _outer_functions(trees):
        parameters = {arg.arg for arg in ast.walk(node) if isinstance(arg, ast.arg)}
        stored = {name.id for name in _names(node) if isinstance(name.ctx, ast.Store)}
        bound = {inner.name for inner in ast.walk(node) if isinstance(inner, ast.ExceptHandler | ast.FunctionDef)}
        kept = parameters | bound | {name for inner in ast.walk(node) for name in _declared(inner)}
        for name in _names(node):
            if name.id in stored - kept:
                name.id = f"{name.id}_here"
        changed += len(stored - kept)
    return changed


def rename_private(trees: Trees) -> int:
    """Private functions, classes and constants of modules are called something else."""
    changed = 0
    elsewhere = Counter(name for tree in trees.values() for name in _mentioned(tree))
    for tree in trees.values():
        defined = {node.name for node in tree.body if isinstance(node, Function | ast.ClassDef)}
        defined |= {name.id for node in tree.body if isinstance(node, ast.Assign) for name in _names(node.targets[0])}
        private = {name for name in defined if name.startswith("_") and not name.endswith("__") and not elsewhere[name]}
        private -= {arg.arg for arg in ast.walk(tree) if isinstance(arg, ast.arg)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in private:
                node.id = f"_own{node.id}"
        for node in tree.body:
            if isinstance(node, Function | ast.ClassDef) and node.name in private:
                node.name = f"_own{node.name}"
        changed += len(private)
    return changed


def rename_parameters(trees: Trees) -> int:
    """Parameters that are given by name are called something else, in the signature and in every call.

    Left alone are those that share their name with what a method, or who knows what, is given: there the name counts.
    """
    calls = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    by_name: dict[str, list[ast.Call]] = {}
    for call in calls:
        if isinstance(call.func, ast.Name):
            by_name.setdefault(call.func.id, []).append(call)
    called = {name: len(found) for name, found in by_name.items()}
    named = Counter(name.id for tree in trees.values() for name in _names(tree))
    defined = Counter(node.name for node in _functions(trees))
    attributes = {name for tree in trees.values() for name in _mentioned(tree)}
    indirect = (call for call in calls if not isinstance(call.func, ast.Name) or not defined[call.func.id])
    unsure = attributes | {word.arg for call in indirect for word in call.keywords}
    changed = 0
    for node in [it for tree in trees.values() for it in tree.body if isinstance(it, Function)]:
        own = by_name.get(node.name, [])
        is_sure = defined[node.name] == 1 and named[node.name] == called.get(node.name) and node.name not in attributes
        given = {word.arg for call in own for word in call.keywords}
        inner = Counter(arg.arg for arg in ast.walk(node) if isinstance(arg, ast.arg))
        if not is_sure or None in given:
            continue
        for arg in (*node.args.args, *node.args.kwonlyargs):
            if arg.arg in given - unsure and inner[arg.arg] == 1:
                _rename_parameter(node, arg, own)
                changed += 1
    return changed


def _rename_parameter(node: Function, arg: ast.arg, calls: list[ast.Call]) -> None:
    new = f"{arg.arg}_given"
    for name in _names(node):
        name.id = new if name.id == arg.arg else name.id
    for word in (word for call in calls for word in call.keywords if word.arg == arg.arg):
        word.arg = new
    arg.arg = new


def reword_messages(trees: Trees) -> int:
    """What is raised says something else."""
    changed = 0
    for node in (node for tree in trees.values() for node in ast.walk(tree)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            said = node.exc.args[0]
            if isinstance(said, ast.JoinedStr):
                said.values.append(ast.Constant("; so it is"))
                changed += 1
            elif isinstance(said, ast.Constant):
                node.exc.args[0] = ast.Constant("it went wrong")
                changed += 1
    return changed


def reword_progress(trees: Trees) -> int:
    """Lines and bars of progress, and phrases for people, say something else."""
    changed = 0
    for node in (node for tree in trees.values() for node in ast.walk(tree)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"say", "track"}:
            for said in (arg for arg in node.args if isinstance(arg, ast.JoinedStr)):
                said.values.append(ast.Constant(" now"))
                changed += 1
        if isinstance(node, ast.FunctionDef) and node.name == "describe":
            node.body = [ast.Return(ast.Constant("something"))]
            changed += 1
    return changed


def import_modules(trees: Trees) -> int:
    """`from m import f` becomes `import m as whole`, and `f` becomes `whole.f`.

    Left alone are names that something is read by: they may be what a module offers to who is handed it.
    """
    changed = 0
    read = {node.attr for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    asked = {(node.module, alias.name) for tree in trees.values() for node in ast.walk(tree)
             if isinstance(node, ast.ImportFrom) for alias in node.names}  # fmt: skip
    for name, tree in trees.items():
        if name == "ws":
            continue
        imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and not _is_future(node)]
        kept = read | _bound_again(tree) | _exported(tree) | {wanted for source, wanted in asked if source == name}
        qualified: dict[str, tuple[str, str]] = {}
        for number, node in enumerate(imports):
            bound = {alias.asname or alias.name: alias.name for alias in node.names}
            is_free = not bound.keys() & kept and f"{node.module}.{node.names[0].name}" not in trees
            if is_free and node.level == 0 and "*" not in bound:
                whole = f"whole_{number}"
                tree.body[tree.body.index(node)] = ast.Import([ast.alias(str(node.module), whole)])
                qualified |= {own: (whole, its) for own, its in bound.items()}
        _Qualified(qualified).visit(tree)
        changed += len(qualified)
    return changed


class _Qualified(ast.NodeTransformer):
    """Reads names from the modules that have them."""

    def __init__(self, names: dict[str, tuple[str, str]]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self._names:
            return node
        whole, name = self._names[node.id]
        return ast.Attribute(ast.Name(whole, ast.Load()), name, node.ctx)


def reverse_definitions(trees: Trees) -> int:
    """Functions that only run later stand at the end of their module, in the other order."""
    changed = 0
    for tree in trees.values():
        late = _run_later(tree)
        tree.body = [node for node in tree.body if node not in late] + late[::-1]
        changed += len(late)
    return changed


def move_functions(trees: Trees) -> int:
    """Functions that need nothing else of their module stand in another, which it imports them from."""
    changed = 0
    for name, tree in list(trees.items()):
        own = _own_names(tree)
        moved = [node for node in _run_later(tree) if not node.decorator_list and not own & _used(node)]
        if moved and name.count(".") > 1 and name not in STAYING and not _uses_place(tree):
            imports = [node for node in tree.body if _is_import(node)]
            target = f"{name}_apart"
            trees[target] = ast.Module([*imports, *moved], [])
            rest = [node for node in tree.body if node not in moved]
            names = [ast.alias(node.name) for node in moved]
            place = max((number for number, node in enumerate(rest) if _is_future(node)), default=-1) + 1
            tree.body = [*rest[:place], ast.ImportFrom(target, names, 0), *rest[place:]]
            changed += len(moved)
    return changed


def rename_modules(trees: Trees) -> int:
    """Modules are called something else wherever they are imported."""
    packages = {name.rpartition(".")[0] for name in trees}
    free = {name for name in trees if name not in packages and name not in STAYING and name.count(".") > 1}
    old = free - _said(trees)
    for name in old:
        trees[f"{name}_anew"] = trees.pop(name)
    for node in (node for tree in trees.values() for node in ast.walk(tree)):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            if node.module in old:
                node.module = f"{node.module}_anew"
            for alias in node.names:
                if f"{node.module}.{alias.name}" in old:
                    alias.asname, alias.name = alias.asname or alias.name, f"{alias.name}_anew"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in old and alias.asname:
                    alias.name = f"{alias.name}_anew"
    return len(old)


NEUTRAL: dict[str, Callable[[Trees], int]] = {
    "docstrings": reword_docstrings,
    "annotations": loosen_annotations,
    "messages": reword_messages,
    "progress and phrases": reword_progress,
    "locals": rename_locals,
    "private names": rename_private,
    "parameters given by name": rename_parameters,
    "moved to another module": move_functions,
    "import style": import_modules,
    "order of definitions": reverse_definitions,
    "names of modules": rename_modules,
}
"""By kind; comments and formatting change too, since trees have none."""


def _functions(trees: Trees) -> Iterator[Function]:
    for tree in trees.values():
        yield from (node for node in ast.walk(tree) if isinstance(node, Function))


def _outer_functions(trees: Trees) -> Iterator[Function]:
    """Functions of modules and of classes, but not those inside functions."""
    for tree in trees.values():
        for node in tree.body:
            inner = node.body if isinstance(node, ast.ClassDef) else [node]
            yield from (it for it in inner if isinstance(it, Function))


def _names(node: ast.AST) -> list[ast.Name]:
    return [name for name in ast.walk(node) if isinstance(name, ast.Name)]


def _declared(node: ast.AST) -> list[str]:
    """Names that are bound as text."""
    if isinstance(node, ast.Global | ast.Nonlocal):
        return node.names
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    return [node.name] if isinstance(node, ast.MatchAs | ast.MatchStar | ast.ClassDef) and node.name else []


def _mentioned(tree: ast.Module) -> Iterator[str]:
    """Names of attributes, of what is imported, and in strings that are one word."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield from (node.name, node.asname or node.name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value


def _bound_again(tree: ast.Module) -> set[str]:
    """Names that something other than an import at the top binds somewhere in a module."""
    stored = {name.id for name in _names(tree) if not isinstance(name.ctx, ast.Load)}
    inner = {node for outer in tree.body if isinstance(outer, Function | ast.ClassDef) for node in ast.walk(outer)}
    stored |= {name for node in inner for name in _declared(node)}
    stored |= {name for node in ast.walk(tree) for name in _declared(node) if not isinstance(node, ast.ImportFrom)}
    stored |= {arg.arg for arg in ast.walk(tree) if isinstance(arg, ast.arg)}
    quoted = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return stored | {name for text in quoted for name in text.replace("[", " ").replace("]", " ").split()}


def _exported(tree: ast.Module) -> set[str]:
    """Names that a module only has for others."""
    used = {name.id for name in _names(tree)}
    bound = {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    return bound - used


def _own_names(tree: ast.Module) -> set[str]:
    own = {node.name for node in tree.body if isinstance(node, Function | ast.ClassDef)}
    others = (node for node in tree.body if not isinstance(node, Function | ast.ClassDef))
    return own | {name.id for node in others for name in _names(node) if isinstance(name.ctx, ast.Store)}


def _used(node: ast.AST) -> set[str]:
    return {name.id for name in _names(node)}


def _run_later(tree: ast.Module) -> list[ast.stmt]:
    """Functions that nothing needs while the module is imported."""
    functions = {node.name: node for node in tree.body if isinstance(node, Function)}
    at_once: set[str] = set()
    found = {name for node in tree.body for part in _run_at_once(node) for name in _used(part)}
    while found - at_once:
        at_once |= found
        found = {name for known in at_once & functions.keys() for name in _used(functions[known])}
    return [node for name, node in functions.items() if name not in at_once]


def _run_at_once(node: ast.stmt) -> Iterator[ast.AST]:
    """What of a statement runs while its module is imported."""
    if isinstance(node, Function):
        yield from (*node.decorator_list, node.args)
    elif isinstance(node, ast.ClassDef):
        yield from (*node.decorator_list, *node.bases)
        for inner in node.body:
            yield from _run_at_once(inner)
    else:
        yield node


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom) and not _is_future(node)


def _uses_place(tree: ast.Module) -> bool:
    return bool({"__file__", "__name__"} & _used(tree)) or "TYPE_CHECKING" in _used(tree)


def _said(trees: Trees) -> set[object]:
    """What texts say, and modules that are imported without being given a name."""
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    whole = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names if not name.asname}
    return whole | {node.value for node in nodes if isinstance(node, ast.Constant)}
