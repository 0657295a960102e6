"""Would a test notice? One line of a core module is changed, its tests are run, changes that none notices are named.

    make mutants                                        # ten changes of each module, drawn with one seed
    python benchmarks/mutants.py chain --each 40 --seeds 1 2
    python benchmarks/mutants.py --each 20 --seeds 0 1 --store

Changes that several seeds draw are tried once. ``--store`` keeps the counts of each module as they are made in
``book/_static/mutants.json``, which the page *How this book is checked* shows.

A change is a comparison, an operation, a number or a word of logic turned into its neighbour; error messages,
annotations, formatted strings and the ``strict`` of a ``zip``, which guards its own line, are left alone. Each module
answers to the tests that are its twins, in a child of a process that has read the libraries already; tests that never
end have noticed. A survivor is either a test that is missing or a change that changes nothing (an equivalent);
``EQUIVALENT`` holds those that somebody has looked at, with the reason.
"""

from __future__ import annotations

import argparse
import ast
import copy
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import json
import math
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TWINS = {
    "chain": "gradclinic/test_chain.py",
    "theory": "gradclinic/test_theory.py",
    "init": "gradclinic/test_init.py",
    "clip": "gradclinic/test_clip.py",
    "activations": "gradclinic/test_activations.py",
    "spec": "gradclinic/test_spec.py",
    "measure": "gradclinic/test_measure.py",
    "precision": "gradclinic/test_precision.py",
    "numpy_net": "gradclinic/test_numpy_net.py",
    "instrument.causes": "gradclinic/instrument/test_rules.py",
    "instrument.core": "gradclinic/instrument/test_core.py",
    "instrument.verdicts": "gradclinic/instrument/test_verdicts.py",
    "instrument.tensors": "gradclinic/instrument/test_readings.py",
    "instrument.readings": "gradclinic/instrument/test_readings.py",
    "instrument.stream": "gradclinic/instrument/test_stream.py",
    "instrument.noise": "gradclinic/instrument/test_noise.py",
    "instrument.text": "gradclinic/instrument/test_text.py",
    "course.ensemble": "gradclinic/course/test_ensemble.py",
    "course.check": "gradclinic/course/test_check.py",
    "course.quiz": "gradclinic/course/test_quiz.py",
    "workshop.grading.compare": "workshop/grading/test_compare.py",
    "workshop.grading.similar": "workshop/grading/test_similar.py",
}
"""Module of gradclinic, or of workshop in full -> the tests that answer for it, below ``tests``."""

WANTED = 0.9
NEIGHBOUR = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
EQUIVALENT: dict[tuple[str, str], str] = {
    (
        "measure",
        "finite_weights = np.asarray(np.isfinite(self.weight.reshape(flat.shape)).all(axis=(1)))",
    ): "of two axes the last",
    (
        "measure",
        "safe = np.where((peak > 0) & np.isfinite(peak), peak, (2.0))",
    ): "0 and what is not finite stay what they are, whatever they are divided by",
    (
        "instrument.verdicts",
        "rows = [layer for i, layer in enumerate(rows) if layer.normalized_at is not None or (i >= writers[-1])]",
    ): "the last writer is one of the first kind",
    ("numpy_net", "for layer in range(1, spec.depth + (2)):"): "the loop is left at the last layer",
    (
        "chain",
        "z[i] = np.ldexp(mantissa, np.maximum(exponent - top, -(2001)))",
    ): "2^-2000 is 0 in float64 already",
    (
        "instrument.tensors",
        "rows = array.reshape(len(array), -1) if len(array) <= ENTRIES else array.reshape(-(2), 1)",
    ): "NumPy takes any negative number for what is left",
    (
        "instrument.tensors",
        "agree = max(agree, _agreement(spectrum.reshape(len(x), -(2))[:, ::step], y))",
    ): "NumPy takes any negative number for what is left",
    (
        "instrument.tensors",
        "return rows[:, :: max((2), math.ceil(rows.size / ENTRIES))]",
    ): "there is one column, or more than twice as many entries",
    (
        "instrument.tensors",
        "sizes = np.sqrt(np.mean((columns / (peak or (2.0))) ** 2, axis=0))",
    ): "where the peak is 0 so is every entry",
    (
        "instrument.text",
        "return INDEX.sub(lambda _: next(spans), names[(1)])",
    ): "names of a group differ in numbers alone",
    (
        "instrument.readings",
        'path.write_text(json.dumps(self.to_dict(), allow_nan=(True), indent=1), encoding="utf-8")',
    ): "nothing is left that is no number",
    (
        "instrument.readings",
        "return math.log10(good[0]) - math.log10(good[-1]) if (len(good) >= 1) else 0.0",
    ): "of one number the ratio to itself is 1",
    (
        "activations",
        "return np.where((z <= -1), left, np.log(np.abs(_gelu_slope(np.maximum(z, -1)))))",
    ): "both hold at -1",
    ("activations", "lambda z: np.where((z >= 0), z, LEAKY_SLOPE * z),"): "both are 0 at 0",
    ("activations", "lambda z: np.where((z >= 0), z, np.expm1(np.minimum(z, 0))),"): "both are 0 at 0",
    ("activations", "_STEP = 1 / (9)"): "a finer rule",
    ("activations", "_NODES = np.exp(np.arange(-(51.0), 3.75, _STEP))"): "a longer rule",
    ("course.ensemble", "tall = (matrices.shape[-2] >= matrices.shape[-1])"): "of a square matrix either way is right",
    (
        "course.ensemble",
        "tall = matrices.shape[-2] > matrices.shape[-(2)]",
    ): "either way is right, this one takes longer",
    ("course.check", "elif wanted and given and ((given <= 0)) != (wanted < 0):"): "neither is 0 there",
    ("course.check", "elif wanted and given and (given < 0) != ((wanted <= 0)):"): "neither is 0 there",
    (
        "course.quiz",
        'name = "quiz-" + hashlib.sha256(question.question.encode()).hexdigest()[:(9)]',
    ): "a name of any length is one",
    ("instrument.core", "zeros: tuple[Scalar, int] = ((1), 0)"): "no share is taken of no entries",
    (
        "instrument.verdicts",
        "if not all(math.isfinite(layer.delta or (1.0)) for layer in compared(layers)):",
    ): "0 and 1 are both finite",
    ("instrument.stream", "@dataclass(slots=(False))"): "takes more memory, does the same",
    ("instrument.stream", "stream: bool = (True)"): "every node is made with its own",
    ("clip", "scale = 1.0 if (norm < max_norm) else max_norm / norm"): "a norm of just the limit: x / x is 1",
}
"""(module, changed line without its indentation): why nothing can tell it from the line that was there."""
QUIET = ("-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "--rootdir", str(ROOT))
STORED = ROOT / "book/_static/mutants.json"


class Mutant(NamedTuple):
    """One changed line."""

    module: str
    line: int
    before: str
    after: str
    source: str


def neighbours(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node is turned into."""
    changed = copy.deepcopy(node)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in NEIGHBOUR:
        changed.ops = [NEIGHBOUR[type(node.ops[0])]()]
        yield changed
    elif isinstance(node, (ast.BinOp, ast.BoolOp)) and type(node.op) in NEIGHBOUR:
        changed.op = NEIGHBOUR[type(node.op)]()
        yield changed
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield changed.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield ast.Constant(node.value + 1)


def reached(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that say what is computed, not what is said about it."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "exc", "cause", "msg"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            guard = isinstance(child, ast.keyword) and child.arg == "strict"
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr) and not guard:
                yield from reached(child)


def mutants(module: str) -> list[Mutant]:
    """Return every change of one module that stays within a line."""
    source = path_of(module).read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    found = []
    for node in reached(ast.parse(source)):
        if not isinstance(node, ast.expr) or node.lineno != node.end_lineno:
            continue
        for changed in neighbours(node):
            raw = lines[node.lineno - 1].encode()  # columns count bytes
            after = raw[: node.col_offset] + f"({ast.unparse(changed)})".encode() + raw[node.end_col_offset :]
            before, after = raw.decode(), after.decode()
            whole = "".join([*lines[: node.lineno - 1], after, *lines[node.lineno :]])
            found.append(Mutant(module, node.lineno, before.strip(), after.strip(), whole))
    return found


def full(module: str) -> str:
    """Return the name by which a module is imported."""
    return module if module.startswith("workshop.") else f"gradclinic.{module}"


def path_of(module: str) -> Path:
    """Return the file of a module."""
    return ROOT / "src" / (full(module).replace(".", "/") + ".py")


class Instead(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Finds one module, with another source than that of its file."""

    def __init__(self, mutant: Mutant) -> None:
        """Take the place of one module."""
        super().__init__(full(mutant.module), str(path_of(mutant.module)))
        self.source = mutant.source

    def find_spec(self, fullname: str, path: object, target: object = None) -> object:
        """Answer for that module alone."""
        return importlib.util.spec_from_loader(fullname, self) if fullname == self.name else None

    def get_code(self, fullname: str) -> object:
        """Compile the other source, past every cache."""
        return compile(self.source, self.path, "exec")


def twins(module: str) -> list[str]:
    """Return the files of tests of a module."""
    return [str(ROOT / "tests" / file) for file in TWINS[module].split()]


def warm(module: str) -> None:
    """Read what the module's tests read, and forget what is ours: a child then reads no library, and the change."""
    import pytest

    with open(os.devnull, "w", encoding="utf-8") as silent, redirect_stdout(silent):
        pytest.main([*QUIET, "--collect-only", *twins(module)])
    for name, loaded in list(sys.modules.items()):
        file = getattr(loaded, "__file__", None) or ""
        if any(Path(file).is_relative_to(ROOT / own) for own in ("src", "tests", "conftest.py")):
            del sys.modules[name]
    gc.freeze()


def passes(module: str, mutant: Mutant | None, seconds: int) -> bool:
    """Tell whether the module's tests pass, within so many seconds of computing, with a change or as it is."""
    child = os.fork()
    if child == 0:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        if mutant:
            sys.meta_path.insert(0, Instead(mutant))
        import pytest

        os._exit(pytest.main([*QUIET, *twins(module)]))
    end = time.monotonic() + 60 * seconds  # of a test that waits for ever; others may need the processor, too
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def drawn(module: str, each: int, seeds: Sequence[int]) -> list[Mutant]:
    """Return the changes that any of the seeds draws, each once, in the order of the lines."""
    possible = mutants(module)
    chosen: set[Mutant] = set()
    for seed in seeds:
        chosen |= set(random.Random(f"{seed} {module}").sample(possible, min(each, len(possible))))
    return sorted(chosen)


def store(module: str, counts: dict[str, int]) -> None:
    """Keep the counts of a module beside those of the others."""
    kept = json.loads(STORED.read_text(encoding="utf-8")) if STORED.is_file() else {}
    kept = {name: kept[name] for name in TWINS if name in kept and name != module} | {module: counts}
    kept = {name: kept[name] for name in TWINS if name in kept}
    STORED.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Draw, run, print; return 1 where fewer of any module's changes are noticed than wanted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(TWINS)} (default: all)")
    parser.add_argument("--each", type=int, default=10, help="changes of each module that a seed draws (default: 10)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="SEED")
    parser.add_argument("--store", action="store_true", help="keep the counts for the page that shows them")
    asked = parser.parse_args()
    if unknown := set(asked.modules) - set(TWINS):
        parser.error(f"no tests are named for {', '.join(sorted(unknown))}")

    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # a child begins in a tenth of a second
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(Path(tempfile.gettempdir(), "gradclinic-mutants"))
    poor = False
    for module in asked.modules or TWINS:
        warm(module)
        start = os.times()
        if not passes(module, None, 600):
            print(f"mutants: {TWINS[module]} fails without any change")
            return 1
        limit = 10 + 3 * math.ceil(os.times().children_user - start.children_user)
        tried = drawn(module, asked.each, asked.seeds)
        left = [mutant for mutant in tried if passes(module, mutant, limit)]
        survivors = [mutant for mutant in left if (module, mutant.after) not in EQUIVALENT]
        equivalent = len(left) - len(survivors)
        noticed = len(tried) - len(left)
        share = noticed / max(len(tried) - equivalent, 1)
        seconds = os.times().children_user - start.children_user
        words = f"{noticed} of {len(tried)} noticed, {equivalent} change nothing"
        print(f"{module:<24} {share:4.0%}: {words}, {seconds:.0f} s", flush=True)
        for mutant in survivors:
            print(f"  survived, line {mutant.line}:\n    {mutant.before}\n    {mutant.after}", flush=True)
        poor = poor or share < WANTED
        if asked.store:
            store(module, {"changes": len(tried), "equivalent": equivalent, "noticed": noticed})
    return int(poor)


if __name__ == "__main__":
    sys.exit(main())
