"""No canned evidence: a printed word that looks measured must come from something that was measured.

``print(f"accuracy {'above 0.8' if learns else 'below 0.3'}")`` is an observation if ``learns`` was computed, and a
stage direction if ``learns`` was typed beside the name of the case. :func:`canned` finds the second kind: a condition
inside something that a cell prints, one of whose outcomes says a finding, and whose test is made of nothing but typed
values: constants, names bound to constants, and loop variables over literals. A mere label (``'pre' if pre else
'post'``) is no finding.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from workshop.book import Book
from workshop.markdown import code_cells, code_lines
from workshop.teaching import NOT_YET

PURE = {"startswith", "endswith", "lower", "upper", "items", "values", "keys", "split"}
"""Methods that measure nothing: of a typed value they give a typed value."""

PLAIN = {"enumerate", "zip", "range", "len", "sorted", "reversed", "str", "int", "bool", "list", "tuple", "dict"}
"""Functions of which the same is true."""


FINDINGS = re.compile(
    r"\b(?:above|below|between|more|less|larger|smaller|equal\w*|same|differ\w*|agree\w*|right|wrong|true|false|yes|no|not|"
    r"never|always|hold\w*|fail\w*|learn\w*|train(?:s|ed)|read\w*|chance|vanish\w*|explod\w*|healthy|dead|finite|"
    r"converge\w*|diverge\w*|arrive\w*|lost|stays?|still|moves?|reach\w*|within|inside|outside)\b"
)
"""Words that say what came out."""

CHANGES = {"append", "extend", "add", "update", "insert", "setdefault"}
"""Methods that put something into a container."""


class _Typed(ast.NodeVisitor):
    """The names of a page that only ever stand for typed values, given those of the cells before."""

    def __init__(self, known: dict[str, bool]) -> None:
        self.known = known
        self.literals: dict[str, ast.AST] = {}
        self.here: set[str] = set()

    def typed(self, node: ast.AST | None) -> bool:
        """Tell whether an expression is made of typed values only."""
        if node is None or isinstance(node, ast.Constant):
            return True
        if isinstance(node, ast.Name):
            return self.known.get(node.id, False)
        if isinstance(node, ast.Call):
            function = node.func
            inner = (
                self.typed(function.value) and function.attr in PURE
                if isinstance(function, ast.Attribute)
                else isinstance(function, ast.Name) and function.id in PLAIN
            )
            return inner and all(self.typed(argument) for argument in node.args)
        if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict | ast.Compare | ast.BoolOp | ast.UnaryOp):
            return all(self.typed(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))
        if isinstance(node, ast.Subscript):
            return self.typed(node.value) and self.typed(node.slice)
        return False

    def bind(self, target: ast.AST, typed: bool) -> None:
        """Note what the names of a target stand for; a name that a cell ever measures is measured in all of it."""
        for name in ast.walk(target):
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                self.known[name.id] = typed and (name.id not in self.here or self.known[name.id])
                self.here.add(name.id)

    def elements(self, node: ast.AST) -> list[ast.AST] | None:
        """Return the elements of a literal that a loop runs over, those of a dictionary as pairs."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "items":
            node = node.func.value
        if isinstance(node, ast.Name):
            node = self.literals.get(node.id, node)
        if isinstance(node, ast.Tuple | ast.List):
            return list(node.elts)
        if isinstance(node, ast.Dict):
            return [
                ast.Tuple([key, value], ast.Load())
                for key, value in zip(node.keys, node.values, strict=True)
                if key is not None
            ]
        return None

    def loop(self, target: ast.AST, source: ast.AST) -> None:
        """Bind the variables of a loop, one column of a literal at a time: a name may stand beside a function."""
        rows = self.elements(source)
        if (
            rows
            and isinstance(target, ast.Tuple)
            and all(isinstance(row, ast.Tuple) and len(row.elts) == len(target.elts) for row in rows)
        ):
            for place, part in enumerate(target.elts):
                self.bind(part, all(self.typed(row.elts[place]) for row in rows))
        else:
            self.bind(target, all(self.typed(row) for row in rows) if rows else self.typed(source))

    def visit_For(self, node: ast.For) -> None:
        self.loop(node.target, node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self.loop(node.target, node.iter)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self.bind(target, self.typed(node.value))
            if isinstance(target, ast.Name) and isinstance(node.value, ast.Dict | ast.List | ast.Tuple):
                self.literals[target.id] = node.value
            if isinstance(target, ast.Subscript):
                self.put_into(target.value, [node.value])
        self.generic_visit(node)

    def put_into(self, container: ast.AST, values: list[ast.expr]) -> None:
        """Note that a container has got more elements; a measured one makes it measured."""
        if isinstance(container, ast.Name) and not all(self.typed(value) for value in values):
            self.known[container.id] = False
            self.literals.pop(container.id, None)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            self.put_into(node.func.value, node.args)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.bind(ast.Name(getattr(node.target, "id", ""), ast.Store()), self.typed(node.value))
        self.generic_visit(node)


def says(node: ast.AST) -> bool:
    """Tell whether an outcome says a finding in words."""
    parts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return any(FINDINGS.search(part) for part in parts)


def canned(source: str, known: dict[str, bool] | None = None) -> Iterator[tuple[int, str]]:
    """Yield (line, condition) for each word of a print-out that a typed value decides; ``known`` is carried along."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return
    names = _Typed({} if known is None else known)
    names.visit(tree)
    names.visit(tree)  # what a later line of a loop puts into a name holds for the earlier lines too
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and getattr(call.func, "id", "") == "print"):
            continue
        for node in ast.walk(call):
            if isinstance(node, ast.IfExp) and (says(node.body) or says(node.orelse)) and names.typed(node.test):
                yield node.lineno, ast.unparse(node)


def problems(book: Book) -> list[str]:
    """Return where a page prints a word as evidence that nothing measured decides."""
    found = []
    for page in book.executed:
        if page in NOT_YET:
            continue
        text, known = book.text(page), {}
        for first, cell in zip(code_lines(text), code_cells(text), strict=True):
            for line, condition in canned(cell.source, known):
                where = f"book/{page}.md:{first + line - 1}"
                found.append(f"{where}: printed as measured, decided by a typed value: {condition}")
    return found
