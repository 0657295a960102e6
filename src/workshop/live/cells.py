"""Which lines of a cell need something that the browser does not have, PyTorch above all.

The standard library only, and no import of this package: the site is built with this file, and the browser runs it.

A page's cells are read in order, statement by statement. A statement needs a framework where it uses a name that the
framework gave, or one that such a statement made. It is left out, what it would have made is *missing* from then on,
and so is what it would have changed (``rows.append(tensor)``: ``rows`` is no longer whole). Everything else runs, so
that a page keeps running past the lines that only show the frameworks' agreement.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

TITLES = {"torch": "PyTorch", "tensorflow": "TensorFlow", "keras": "Keras", "sklearn": "scikit-learn"}
"""What the browser lacks, by the name of its import, as a reader knows it."""

ABSENT = frozenset({*TITLES, "pandas", "IPython", "ipykernel"})
FRAMEWORKS = frozenset({"PyTorch", "TensorFlow", "Keras"})
THERE = frozenset({"sklearn", "sklearn.datasets", "sklearn.datasets.load_digits"})
"""Of the absent, what the site brings all the same: the digits as a file of its own."""

MAGIC = ("%", "!")


@dataclass
class Part:
    """One top-level statement of a cell: the lines it stands in, and what it lacks (titles), nothing where it runs."""

    node: ast.stmt
    lacks: frozenset[str] = frozenset()
    makes: frozenset[str] = frozenset()


@dataclass
class Page:
    """What is missing after the cells that were read: a name of the page -> the titles of what it would have needed.

    A call such as ``np.testing.assert_allclose(...)`` changes nothing that was imported (``modules``).
    ``lacking``: modules of the course's package that cannot be imported there, and functions of it that call a
    framework -> the titles of what they need. ``aliases``: what imported names stand for.
    ``effects``: functions of the page -> what they change of the page's (``rows.append(...)`` inside a hook).
    """

    lacking: dict[str, frozenset[str]] = field(default_factory=dict)
    missing: dict[str, frozenset[str]] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)
    effects: dict[str, set[str]] = field(default_factory=dict)

    def needs(self, module: str) -> frozenset[str]:
        """Return the titles of what an import of `module` needs and the browser lacks."""
        if module in THERE:
            return frozenset()
        if module in self.lacking:
            return self.lacking[module]
        top = module.partition(".")[0]
        return frozenset({TITLES.get(top, top)}) if top in ABSENT else frozenset()

    def read(self, source: str) -> list[Part]:
        """Return the statements of the page's next cell, imports taken apart; raises ``SyntaxError`` as Python does."""
        parts = []
        for statement in ast.parse(source).body:
            for node in single(statement):
                lacks, makes = self.judge(node)
                for name in makes:
                    if lacks:
                        self.missing[name] = lacks
                    else:
                        self.missing.pop(name, None)
                parts.append(Part(node, lacks, frozenset(makes)))
        return parts

    def judge(self, node: ast.stmt) -> tuple[frozenset[str], set[str]]:
        """Return the titles of what a statement lacks, and the names that it makes or, where it lacks, would spoil."""
        lacks: set[str] = set()
        found = Names()
        found.visit(node)
        for name in found.used:
            lacks |= self.missing.get(name, frozenset())
        for inner in ast.walk(node):
            for module in imported(inner):
                lacks |= self.needs(module)
            if isinstance(inner, ast.Attribute) and (path := dotted(inner)):
                first, _, rest = path.partition(".")
                lacks |= self.lacking.get(f"{self.aliases.get(first, first)}.{rest}", frozenset())
        if isinstance(node, ast.Import | ast.ImportFrom):
            self.modules |= found.bound
            self.aliases |= aliases(node)
        else:
            self.modules -= found.bound
            self.aliases = {name: path for name, path in self.aliases.items() if name not in found.bound}
        changed = found.changed.union(*(self.effects.get(name, ()) for name in found.used))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self.effects[node.name] = changed
            changed = set()  # nothing before it is called
        return frozenset(lacks), found.bound | (changed - self.modules) if lacks else found.bound


def single(statement: ast.stmt) -> Iterable[ast.stmt]:
    """Yield an import as one statement for each name, ``a, b = f(x), g(x)`` as two, anything else as it is."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            yield ast.copy_location(ast.Import([alias]), statement)
    elif isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            yield ast.copy_location(ast.ImportFrom(statement.module, [alias], statement.level), statement)
    elif isinstance(statement, ast.Assign) and (pairs := separate(statement)):
        for target, value in pairs:
            yield ast.copy_location(ast.Assign([target], value), statement)
    else:
        yield statement


def separate(node: ast.Assign) -> list[tuple[ast.Name, ast.expr]]:
    """Return the pairs of ``a, b = f(x), g(x)`` where no value uses what is being made, [] for anything else."""
    target, value = node.targets[0], node.value
    if len(node.targets) > 1 or not isinstance(target, ast.Tuple) or not isinstance(value, ast.Tuple):
        return []
    if len(target.elts) != len(value.elts) or not all(isinstance(element, ast.Name) for element in target.elts):
        return []
    makes = {element.id for element in target.elts}
    if any(isinstance(inner, ast.Starred | ast.NamedExpr) for inner in ast.walk(value)):
        return []
    if any(isinstance(inner, ast.Name) and inner.id in makes for inner in ast.walk(value)):
        return []
    return list(zip(target.elts, value.elts, strict=True))


def imported(node: ast.AST) -> Iterable[str]:
    """Yield the modules that a node imports; what is taken from a module counts, as it may be one."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def aliases(tree: ast.AST) -> dict[str, str]:
    """Return what the names that imports bind stand for: ``from gradclinic import theory as t``."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for an attribute of an attribute of a name, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


class Names(ast.NodeVisitor):
    """What a statement uses, binds and may change, read in the order in which Python would run it.

    A name that the statement itself binds before it uses it is its own: the variable of a loop, of a comprehension, a
    function's argument.
    """

    def __init__(self) -> None:
        """Start with nothing read."""
        self.used: set[str] = set()
        self.bound: set[str] = set()
        self.changed: set[str] = set()
        self.inner: list[set[str]] = []

    def own(self, name: str) -> bool:
        """Tell whether a comprehension or a function around this place has a variable of that name."""
        return any(name in scope for scope in self.inner)

    def visit_Name(self, node: ast.Name) -> None:  # noqa: D102
        if self.own(node.id):
            return
        if isinstance(node.ctx, ast.Load):
            if node.id not in self.bound:
                self.used.add(node.id)
        elif not self.inner:
            self.bound.add(node.id)

    def changes(self, node: ast.AST) -> None:
        """Note that the object behind this chain of attributes and items is changed."""
        name = root(node)
        if name and not self.own(name):
            self.changed.add(name)

    def visit_Attribute(self, node: ast.Attribute) -> None:  # noqa: D102
        if not isinstance(node.ctx, ast.Load):
            self.changes(node)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:  # noqa: D102
        if not isinstance(node.ctx, ast.Load):
            self.changes(node)
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:  # noqa: D102
        if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
            self.changes(node.value.func)  # a call for its effect: rows.append(...)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:  # noqa: D102
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:  # noqa: D102
        if isinstance(node.target, ast.Name) and not self.own(node.target.id) and node.target.id not in self.bound:
            self.used.add(node.target.id)
        self.visit(node.value)
        self.visit(node.target)

    def visit_For(self, node: ast.For) -> None:  # noqa: D102
        self.visit(node.iter)
        self.visit(node.target)
        for statement in [*node.body, *node.orelse]:
            self.visit(statement)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:  # noqa: D102
        if not self.inner:
            self.bound |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}

    visit_ImportFrom = visit_Import

    def visit_If(self, node: ast.If) -> None:  # noqa: D102
        self.visit(node.test)
        before = set(self.bound)
        ends = []
        for branch in (node.body, node.orelse):
            self.bound = set(before)
            for statement in branch:
                self.visit(statement)
            ends.append(self.bound)
        self.bound = ends[0] | ends[1]

    def comprehension(self, node: ast.AST) -> None:
        """Read a comprehension or a lambda: its variables are its own."""
        generators = getattr(node, "generators", [])
        targets = [inner for generator in generators for inner in ast.walk(generator.target)]
        mine = {inner.id for inner in targets if isinstance(inner, ast.Name)}
        if isinstance(node, ast.Lambda):
            mine = {argument.arg for argument in arguments(node.args)}
        if generators:
            self.visit(generators[0].iter)  # read outside
        self.inner.append(mine)
        self.generic_visit(node)
        self.inner.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_Lambda = comprehension

    def definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        """Read a function or a class: what is bound in it is its own."""
        if not self.inner:
            self.bound.add(node.name)
        mine = {node.name}
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load):
                mine.add(inner.id)
            elif isinstance(inner, ast.arguments):
                mine |= {argument.arg for argument in arguments(inner)}
            elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                mine.add(inner.name)
            elif isinstance(inner, ast.Import | ast.ImportFrom):
                mine |= {alias.asname or alias.name.partition(".")[0] for alias in inner.names}
        for decorator in node.decorator_list:
            self.visit(decorator)
        for default in getattr(getattr(node, "args", None), "defaults", []):
            self.visit(default)
        self.inner.append(mine)
        for statement in [*node.body, *getattr(node, "bases", [])]:
            self.visit(statement)
        self.inner.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = definition


def arguments(node: ast.arguments) -> list[ast.arg]:
    """Return all arguments of a function."""
    more = [argument for argument in (node.vararg, node.kwarg) if argument]
    return [*node.posonlyargs, *node.args, *node.kwonlyargs, *more]


def root(node: ast.AST) -> str:
    """Return the name that a chain of attributes, items and calls begins with."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def only_imports(parts: Iterable[Part]) -> bool:
    """Tell whether nothing but imports is left out: then the cell does all that it shows."""
    return all(isinstance(part.node, ast.Import | ast.ImportFrom) for part in parts if part.lacks)
