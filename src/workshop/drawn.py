"""Which checked answers of a page are drawn at random, and whether an exercise names its draw.

The cells are read, not run. From a call that makes a generator or sets a seed, the draw is followed through the page's
names into what each solution passes to ``check.number``. Two things are not followed: what the package draws by
itself, such as a patient's networks, which are the same for every reader; and assertions, which pass on no number.

A solution that passes a formula's number answers with no draw. Where a measured number is right as well, the solution
passes that too, and it counts.
"""

from __future__ import annotations

import ast
import re

from workshop.markdown import read_page
from workshop.seeds import MAGIC, NAMES_ITS_SEED, exercises

DRAWING = {"default_rng", "RandomState", "manual_seed", "set_random_seed", "rand", "randn", "random"}
"""Names that draw, or make what draws."""

FIRST_NAME = re.compile(r"(?<!`)`(\w+)[^`]*`")
"""The name with which a piece of code in a sentence begins."""


def targets(node: ast.AST) -> set[str]:
    """Return the names that an assignment to ``node`` changes: of ``a[i], b`` both ``a`` and ``b``."""
    if isinstance(node, ast.Tuple | ast.List):
        return set().union(*(targets(part) for part in node.elts))
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()


class Reader(ast.NodeVisitor):
    """Reads the cells of a page in order; ``drawn`` are the names that depend on a draw, ``answers`` what is checked.

    What a condition decides depends on the condition.
    """

    def __init__(self) -> None:
        """Nothing read yet."""
        self.drawn: set[str] = set()
        self.answers: dict[str, bool] = {}
        self.condition = False

    def depends(self, node: ast.AST) -> bool:
        """Whether a piece of code depends on a draw: by the names that it reads and does not give a value itself."""
        parts = list(ast.walk(node))
        own = {part.arg for part in parts if isinstance(part, ast.arg)}
        own |= {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
        read = {part.id for part in parts if isinstance(part, ast.Name)} - own
        called = {part.attr for part in parts if isinstance(part, ast.Attribute)}
        return bool(read & (self.drawn | DRAWING) or called & DRAWING)

    def assign(self, changed: set[str], drawn: bool, whole: bool = False) -> None:
        """Note that ``changed`` got a value; ``whole`` where nothing is left of the one before."""
        if drawn or self.condition:
            self.drawn |= changed
        elif whole:
            self.drawn -= changed

    def visit_Assign(self, node: ast.Assign) -> None:
        """``a = value``."""
        for target in node.targets:
            whole = not isinstance(target, ast.Subscript | ast.Attribute)
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                now = [self.depends(value) for value in node.value.elts]
                for part, drawn in zip(target.elts, now, strict=True):
                    self.assign(targets(part), drawn, isinstance(part, ast.Name))
            else:
                self.assign(targets(target), self.depends(node.value), whole)
        self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """``a += value``."""
        self.assign(targets(node.target), self.depends(node.value))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        """``(a := value)``."""
        self.assign(targets(node.target), self.depends(node.value), whole=True)

    def visit_Call(self, node: ast.Call) -> None:
        """``a.append(value)`` changes ``a``; ``check.number(exercise, value)`` is what is looked for."""
        passed = [*node.args, *(keyword.value for keyword in node.keywords)]
        if isinstance(node.func, ast.Attribute):
            if ast.unparse(node.func) == "check.number" and isinstance(node.args[0], ast.Constant):
                key = node.args[0].value.partition("#")[2]
                self.answers[key] = self.answers.get(key, False) or self.depends(node.args[1])
            elif node.func.attr in ("append", "extend", "insert", "update", "add"):
                self.assign(targets(node.func.value), any(self.depends(value) for value in passed))
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        """``train(net, x, rng=rng)``, called for its effect, changes what stands first."""
        call = node.value
        if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Name) and self.depends(call):
            self.assign(targets(call.args[0]), drawn=True)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.ClassDef) -> None:
        """A function or a class depends on a draw where its body does; what it is given counts where it is called."""
        self.assign({node.name}, self.depends(node), whole=True)

    visit_ClassDef = visit_FunctionDef

    def visit_For(self, node: ast.For) -> None:
        """Twice: what is drawn at the end of a round is there at the start of the next."""
        for _ in range(2):
            self.assign(targets(node.target), self.depends(node.iter), whole=True)
            for statement in (*node.body, *node.orelse):
                self.visit(statement)

    def visit_If(self, node: ast.If) -> None:
        """Also a loop with a condition, read twice."""
        before = self.condition
        for _ in range(2):
            self.condition = before or self.depends(node.test)
            for statement in (*node.body, *node.orelse):
                self.visit(statement)
        self.condition = before

    visit_While = visit_If

    def visit_With(self, node: ast.With) -> None:
        """``with made() as a:``."""
        for item in node.items:
            if item.optional_vars is not None:
                self.assign(targets(item.optional_vars), self.depends(item.context_expr), whole=True)
        for statement in node.body:
            self.visit(statement)


def read_answers(text: str) -> dict[str, tuple[bool, bool]]:
    """Return exercise -> (is its answer drawn, does it name its draw) for a page's exercises with a checked number.

    An exercise names its draw by a seed, or by something of the page in ``code`` that was drawn there: a reader who
    uses it has the same numbers.
    """
    reader, asked, found = Reader(), exercises(text), {}
    for cell in read_page(text).cells:
        if cell.cell_type != "code":
            continue
        of_page = set(reader.drawn)
        reader.answers.clear()
        reader.visit(ast.parse(MAGIC.sub("pass", cell.source)))
        for key, drawn in reader.answers.items():
            used = set(FIRST_NAME.findall(asked.get(key, "")))
            found[key] = drawn, bool(NAMES_ITS_SEED.search(asked.get(key, "")) or used & of_page)
    return found
