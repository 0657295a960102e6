"""Judge one submission: its cells run in a sandbox, the checks run here and ask the student's functions.

A hidden check is ordinary code. In its place stand, besides the set-up of the master:

- every function that a solution cell of the master defines: a stub that asks the student's one over the pipe;
- every value such a cell defines: fetched from the student's process before the check;
- every function of a sandbox helper: a stub, whose source runs beside the student's functions;
- `reference`: the master's own solutions as a namespace (`reference.f(x)`), on this side;
- `rng`: a generator drawn from the seed of this grading and the check's own name;
- `close`: the comparison of numbers that demands shape, kind and finiteness (`compare`).

A check asks at its own place in the notebook, as nbgrader runs it: what is done with a name further down costs nothing.
Where it fails, and something it needs is defined further down, it asks once more at the end.

What a stub returns is plain data made here from JSON (`wire`), so no object of the student's takes part in a
comparison. An exception of the student's arrives as the built-in exception of its name, or as `StudentError`.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import os
import tempfile
import time
import types
import warnings
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from workshop.grading import intake, nursery, wire
from workshop.grading.assignment import RUN, Assignment, Check, defined, imported, used
from workshop.grading.compare import close
from workshop.grading.node import Node
from workshop.grading.sandbox import Limits, Sandbox, SandboxError, Stopped, choose

STRIKES = 2  # a function that ended its process or ran over time so often is not called again


END = ""  # the place behind the last cell


class StudentError(Exception):
    """An exception of the student's own, or one that may not be raised on this side."""


class Unusable(BaseException):
    """A name the check needs is missing, or is no plain data. Not an Exception: "raises any" is not met by it.

    Its text is for the student; why: for the teacher, since what the sandbox says may carry a hidden input.
    """

    def __init__(self, note: str, why: str = "") -> None:
        """Take both texts."""
        super().__init__(note)
        self.why = f"{note}: {why}" if why else note


PLAIN = "{name} gave something that is not plain data: numbers, texts, lists, arrays of numbers"

MIRRORED = {
    kind.__name__: kind
    for base in (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RuntimeError, TypeError)
    for kind in (base, *base.__subclasses__())
    if kind.__module__ == "builtins"
} | {"ValueError": ValueError}
"""Exceptions that cross as themselves, for checks of the kind "raises ValueError". StopIteration must not: inside
`all(map(f, inputs))` it would end the loop, and the check would pass."""


@dataclass
class Item:
    """What one graded code cell earned. why: for the teacher; note: for the student, free of anything hidden."""

    points: float
    max_points: float
    why: str = ""
    note: str = ""


@dataclass
class Judgement:
    """The outcome for one submission.

    skipped: cells that raised or were stopped, with their reason; unforked: why this machine forks no sandboxes, "" if
    it does; notebook: the submission in the assignment's own frame, as it is recorded.
    """

    items: dict[str, Item]
    status: str
    flags: list[str]
    skipped: list[list[str]]
    isolation: str
    seed: int
    seconds: float
    unforked: str = ""
    notebook: dict = field(default_factory=dict, repr=False)

    @property
    def points(self) -> dict[str, float]:
        """Return the points by grade_id."""
        return {grade_id: item.points for grade_id, item in self.items.items()}

    @property
    def failed(self) -> set[str]:
        """Return the checks that did not earn everything."""
        return {grade_id for grade_id, item in self.items.items() if item.points < item.max_points}

    def to_dict(self) -> dict:
        """Return the judgement as plain data."""
        return asdict(self)


@dataclass
class Student:
    """A student's notebook at work: answers calls, and starts again where a call ended its process.

    modules: what its process may have imported before it is forked; None for one that is started for it alone. files:
    what lies beside the notebook when it starts, name -> bytes in base64.
    """

    cells: list[intake.Cell]
    marks: dict[str, int]
    helpers: list[str]
    isolation: str
    limits: Limits
    modules: tuple[str, ...] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    place: str = END
    until: float = 0.0
    started: list[Sandbox] = field(default_factory=list)
    sandbox: Sandbox | None = None
    dead: set[int] = field(default_factory=set)
    skipped: dict[int, str] = field(default_factory=dict)
    strikes: dict[str, int] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    stops: int = 0
    finished: bool = False

    def __post_init__(self) -> None:
        """Start the clock."""
        self.until = time.monotonic() + self.limits.submission
        self.marks = {**self.marks, END: len(self.cells)}

    def seconds(self, most: float) -> float:
        """Return how long to wait now; Stopped where the submission's time is over."""
        left = self.left()
        if left <= 0:
            self.stops += 1
            why = f"the submission ran over its {self.limits.submission:.3g} s"
            self.flags.append(why)
            raise Stopped(why)
        return min(most, left)

    def left(self) -> float:
        """Return what is left of the submission's seconds; what a busy machine took of them is given back."""
        return self.until + sum(sandbox.granted for sandbox in self.started) - time.monotonic()

    def run(self) -> Sandbox:
        """Return a process in which every cell has run that does not end it.

        What a cell says is taken down the first time only: later it may have seen what a check asked.
        """
        while self.sandbox is None:
            # What has ended a process once is not let near a process that others will come from.
            modules = None if self.stops else self.modules
            sandbox = nursery.start(self.isolation, self.limits, modules)
            number, first = -1, not self.finished
            self.started.append(sandbox)
            try:
                for name, data in self.files.items():
                    reply = sandbox.ask("file", name, data, seconds=self.seconds(self.limits.cell))
                    if reply is not None and first:
                        self.flags.append(f"{printable(name)}: cannot be put beside the notebook")
                for number, cell in enumerate(self.cells):
                    self.mark(sandbox, number)
                    if number in self.dead:
                        continue
                    reply = sandbox.ask("cell", cell.source, seconds=self.seconds(self.limits.cell))
                    if reply is not None and first and number not in self.skipped:
                        self.skipped[number] = f"raised {word(reply, 1)}: {word(reply, 2)}"
                number = len(self.cells)
                self.mark(sandbox, number)
                for source in self.helpers:
                    reply = sandbox.ask("define", source, seconds=self.seconds(self.limits.cell))
                    if reply is not None:
                        self.flags.append("a helper of the checks does not run beside this notebook")
            except Stopped as error:
                sandbox.close()
                self.stops += 1
                if number >= len(self.cells) or self.left() <= 0:
                    raise
                if number < 0:  # no line of the student's has run
                    raise SandboxError(f"the files beside the notebook cannot be put there: {error}") from error
                self.dead.add(number)
                if first:
                    self.skipped[number] = str(error)
                    self.flags.append(f"{self.cells[number].label}: {error}; left out")
                else:
                    self.flags.append("a cell that ran at first did not do so when the notebook was started again")
                continue
            except BaseException:
                sandbox.close()
                raise
            self.sandbox, self.finished = sandbox, True
        return self.sandbox

    def mark(self, sandbox: Sandbox, number: int) -> None:
        """Keep the names for the checks that stand before the cell of this number."""
        for place in [place for place, at in self.marks.items() if at == number]:
            sandbox.ask("mark", place, seconds=self.seconds(self.limits.cell))

    def ask(self, kind: str, name: str, *body: Any) -> Any:
        """Return the value of a call or of a name; raise what the student's code raised."""
        if self.strikes.get(name, 0) >= STRIKES:
            raise Stopped(f"{name} is not called again")
        sandbox, seconds = self.run(), self.seconds(self.limits.call)
        try:
            reply = sandbox.ask(kind, self.place, name, *body, seconds=seconds)
        except Stopped as error:
            self.close()
            self.stops += 1
            self.strikes[name] = self.strikes.get(name, 0) + 1
            self.flags.append(f"a call of {name} {error}")
            raise Stopped(f"a call of {name} {error}") from None
        if isinstance(reply, list) and reply[:1] == ["value"] and len(reply) == 2:
            try:
                return wire.decode(reply[1])
            except wire.WireError as error:  # the worker's own encoder makes no such value
                self.odd(name)
                raise Unusable(PLAIN.format(name=name), str(error)) from error
        if isinstance(reply, list) and reply[:1] == ["raised"]:
            raised, message = word(reply, 1), word(reply, 2)
            if raised == "NameError" and message == f"name {name!r} is not defined":
                raise Unusable(f"{name} is not defined")
            raise MIRRORED.get(raised, StudentError)(message)
        if not (isinstance(reply, list) and reply[:1] == ["refused"]):
            self.odd(name)
        raise Unusable(PLAIN.format(name=name), word(reply, 1))

    def odd(self, name: str) -> None:
        """Take down that an answer is not of the worker's making: a person should look."""
        self.stops += 1
        self.flags.append(f"a call of {name} answered in a way that no function does")

    def again(self, check: Check) -> bool:
        """Whether something that a check needs is defined in a cell behind its place."""
        at = self.marks.get(check.grade_id, len(self.cells))
        behind = [defined(cell.source) for cell in self.cells[at:]]
        needed = used(check.source).union(*(used(cell.source) for cell in self.cells[:at]))
        return bool(behind) and bool(needed & set().union(*behind))

    def call(self, name: str, arguments: tuple, keywords: dict) -> Any:
        """Call a function by name. A value that cannot cross towards the sandbox is the author's mistake."""
        try:
            body = wire.encode((list(arguments), keywords), outward=True)
        except wire.WireError as error:
            raise TypeError(f"an argument of {name} {error}") from error
        return self.ask("call", name, body)

    def close(self) -> None:
        """End the process."""
        if self.sandbox is not None:
            self.sandbox.close()
            self.sandbox = None


def word(reply: Any, place: int) -> str:
    """Return a text from a reply that may hold anything; made fit to print and to store."""
    text = reply[place] if isinstance(reply, list) and len(reply) > place else ""
    return printable(text if isinstance(text, str) else "something that is no message")


def printable(text: str) -> str:
    """Return the beginning of a text without line ends, control characters and halves of letters."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:300])


class Trusted:
    """The side of the judge: the master's own namespace, and one for the checks of a submission."""

    def __init__(self, assignment: Assignment, files: Mapping[str, str] | None = None) -> None:
        """Run the master's set-up and solutions here, once. files: what the assignment gives, beside its cells."""
        self.assignment, self.folder = assignment, None
        if files:
            self.folder = tempfile.TemporaryDirectory(prefix="workshop-given-")
            for name, data in files.items():
                path = Path(self.folder.name, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(base64.b64decode(data))
        with self.beside():
            self.prepare(assignment)

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """Work in the folder with the assignment's files, where it has any."""
        before = os.getcwd()
        try:
            if self.folder:
                os.chdir(self.folder.name)
            yield
        finally:
            os.chdir(before)

    def prepare(self, assignment: Assignment) -> None:
        """Run the master's set-up and solutions."""
        solutions = {grade_id for kind, grade_id, _ in assignment.cells if kind == "solution"}
        delivered = set().union(*(assignment.names[grade_id] for grade_id in solutions))
        # A cell that only shows what the student's functions do is not run here.
        self.setup = [
            cell.source
            for kind, _, cell in assignment.cells
            if kind == "set-up" and not used(cell.source, inside_functions=False) & delivered
        ]
        self.space: dict[str, Any] = {"__name__": "reference", "get_ipython": magics}
        for kind, grade_id, cell in assignment.cells:
            if kind == "solution" or cell.source in self.setup:
                execute(cell.source, self.space, grade_id or "set-up")
        self.functions = {name for name in delivered if callable(self.space.get(name))}
        self.values = delivered - self.functions
        self.helpers = set().union(*map(defined, assignment.helpers)) if assignment.helpers else set()
        sources = [cell.source for kind, _, cell in assignment.cells if kind in RUN]
        self.modules = nursery.frameworks([*sources, *assignment.helpers])
        sources = [cell.source for kind, _, cell in assignment.cells if kind == "solution"]
        self.imports = set().union(*map(imported, sources)) if sources else set()

    def bound(self, student: Student) -> dict[str, Any]:
        """Return a fresh namespace for the checks of one submission."""
        space: dict[str, Any] = {"__name__": "checks", "get_ipython": magics}
        space |= {name: self.space[name] for name in self.imports if name in self.space}
        space |= {name: wire.Name(name, student.call) for name in self.functions | self.helpers}
        with self.beside():
            for source in self.setup:
                execute(source, space, "set-up")
        space["reference"] = types.SimpleNamespace(**self.space)
        space["close"] = close
        return space

    def check(self, check: Check, space: dict[str, Any], student: Student, seed: int) -> Item:
        """Run one check at its place, and where it needs it at the end; return the better of what it earned."""
        student.place = check.grade_id
        item = self.once(check, space, student, seed)
        if item.points < check.points and student.again(check):
            student.place = END
            second = self.once(check, space, student, seed)
            return second if second.points > item.points else item
        return item

    def once(self, check: Check, space: dict[str, Any], student: Student, seed: int) -> Item:
        """Run one check; return what it earned."""
        item = Item(0.0, check.points)
        if not check.public:
            space["rng"] = np.random.default_rng([seed, zlib.crc32(check.grade_id.encode())])
        try:
            for name in sorted(used(check.source) & self.values):
                space[name] = student.ask("value", name)
            with self.beside():
                value = execute(check.source, space, check.grade_id)
        except Stopped as error:
            item.why, item.note = f"stopped: {error}", f"Not finished: {error}."
        except Unusable as error:
            item.why, item.note = error.why, f"{error}."
        except (SandboxError, MemoryError):
            raise  # the grader's trouble, not the student's
        except Exception as error:
            item.why = printable(f"{type(error).__name__}: {error}")
        else:
            partial = type(value) in (int, float) or isinstance(value, np.integer | np.floating)
            item.points = float(np.clip(np.nan_to_num(value), 0.0, check.points)) if partial else check.points
        return item


def magics() -> Any:
    """Stand for IPython where a set-up cell has a magic: on this side magics do nothing."""
    return types.SimpleNamespace(run_line_magic=lambda *_: None, run_cell_magic=lambda *_: None, system=lambda *_: None)


def execute(source: str, space: dict[str, Any], name: str) -> Any:
    """Run a cell of the master here, asserts included; return the value of its last line, if that is an expression."""
    from IPython.core.inputtransformer2 import TransformerManager

    tree = ast.parse(TransformerManager().transform_cell(source))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        exec(compile(tree, f"<{name}>", "exec", optimize=0), space)
        return eval(compile(ast.Expression(last.value), f"<{name}>", "eval", optimize=0), space) if last else None


KNOWN: dict[str, Trusted] = {}


def trusted(assignment: Assignment, files: Mapping[str, str] | None = None) -> Trusted:
    """Return the trusted side of an assignment, made once for many submissions."""
    key = f"{assignment.digest}{sorted((files or {}).items())}"
    if key not in KNOWN:
        KNOWN.clear()
        KNOWN[key] = Trusted(assignment, files)
    return KNOWN[key]


def grade(
    master: Node,
    submission: Node,
    *,
    seed: int,
    isolation: str = "auto",
    limits: Limits = Limits(),  # noqa: B008  frozen
    alone: bool = False,
    files: Mapping[str, str] | None = None,
    given: Collection[str] = (),
) -> Judgement:
    """Judge one submission against a master, both notebooks.

    seed: chooses the inputs of the hidden checks; the same seed gives the same judgement. isolation: `bubblewrap`,
    `process`, or `auto` for the better one that works here. alone: import everything for this submission anew, instead
    of forking a process that has (`nursery`): slower, the same marks. files: what lies beside the notebook, name to
    bytes in base64; given: which of them are the assignment's own, and lie beside the checks too. SandboxError: the
    sandbox does not work, nothing is known about the submission.
    """
    begun = time.monotonic()
    assignment = Assignment(master)
    files = dict(files or {})
    normal = intake.normalise(assignment, submission, files)
    isolation, _ = choose(isolation)
    side = trusted(assignment, {name: files[name] for name in given})
    own_variables = any(nursery.SETS_VARIABLES.search(cell.source) for cell in normal.cells)
    modules = None if own_variables or alone else side.modules
    student = Student(normal.cells, normal.marks, assignment.helpers, isolation, limits, modules, files)
    items = {}
    try:
        with contextlib.suppress(Stopped):
            student.run()
        space = side.bound(student)
        for check in assignment.checks:
            items[check.grade_id] = side.check(check, space, student, seed)
    finally:
        student.close()
    if student.stops or normal.review:
        nursery.dismiss()
    return Judgement(
        items=items,
        status="review" if student.stops or normal.review else "ok",
        flags=list(dict.fromkeys([*normal.flags, *student.flags])),
        skipped=[[normal.cells[number].label, why] for number, why in sorted(student.skipped.items())],
        isolation=isolation,
        seed=seed,
        seconds=round(time.monotonic() - begun, 1),
        unforked="" if alone else nursery.refusal(),
        notebook=normal.notebook,
    )
