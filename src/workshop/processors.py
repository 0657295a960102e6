"""Other processors, simulated on this one: do tests and chapters give the same there?

``python -m workshop processors`` runs the numerical tests and every chapter once for each simulated processor and
prints a table. NumPy, PyTorch, MKL, OpenBLAS and oneDNN choose their code by what the processor can do; each has a
variable that makes it forget some of that. What cannot be simulated: a processor that can do more than this one, and
ARM.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workshop import suite
from workshop.book import Book, BookError

CHOICE = "WORKSHOP_PROCESSOR"
"""Names the simulated processor to the tests, whose environment is otherwise the recordings'."""

OLDER = {
    "sse": {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "plain-pytorch": {"ATEN_CPU_CAPABILITY": "default"},
    "avx2-mkl": {"MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "compatible-mkl": {"MKL_CBWR": "COMPATIBLE"},
}
"""What PyTorch, Intel's library in it, and oneDNN in both frameworks may use. The last three change one thing each: a
training that makes rounding matter can come out as on this machine where several things change, and not where one does;
``compatible`` is the code that Intel's library has for all processors alike."""


@dataclass(frozen=True)
class Processor:
    """What a processor lacks. numpy: the newest level of instructions that NumPy may use, "" for all there are."""

    says: str
    numpy: str = ""
    others: str = ""
    openblas: str = ""
    onednn: str = "0"

    def variables(self) -> dict[str, str]:
        """Return the environment that makes libraries see this processor."""
        found = {"TF_ENABLE_ONEDNN_OPTS": self.onednn} | OLDER.get(self.others, {})
        if self.openblas:
            found["OPENBLAS_CORETYPE"] = self.openblas
        if self.numpy and (lacking := numpy_features(self.numpy)):
            found["NPY_DISABLE_CPU_FEATURES"] = " ".join(lacking)
        return found


PROCESSORS = {
    "as-it-is": Processor("this machine"),
    "avx2": Processor("AVX2, no AVX-512 (most laptops; AMD before Zen 4)", "avx2", "avx2", "Haswell"),
    "sse": Processor("neither AVX nor AVX2", "sse", "sse", "Nehalem"),
    "avx": Processor("AVX without AVX2", "sse", "sse", "Sandybridge"),
    "pytorch": Processor("this machine, PyTorch's own code without AVX", others="plain-pytorch"),
    "mkl": Processor("this machine, MKL with AVX2", others="avx2-mkl"),
    "compatible": Processor("this machine, MKL's code for all processors", others="compatible-mkl"),
    "onednn": Processor("this machine, TensorFlow with oneDNN", onednn="1"),
    "onednn-avx2": Processor("AVX2, TensorFlow with oneDNN", "avx2", "avx2", "Haswell", "1"),
}

NUMERICAL = ("tests/gradclinic", "tests/assignments/test_mutants.py")
"""Tests whose verdicts rest on arithmetic."""


def numpy_features(level: str) -> list[str]:
    """Return the features that this NumPy would choose code by and that a processor of this level lacks."""
    from numpy._core._multiarray_umath import __cpu_dispatch__ as dispatched  # no public name lists them

    kept = {"sse": set(), "avx2": {"AVX", "F16C", "FMA3", "AVX2", "X86_V3"}}[level]
    return [name for name in dispatched if name not in kept]


def chosen() -> dict[str, str]:
    """Return the variables of the processor that the environment names, none where it names none."""
    name = os.environ.get(CHOICE, "")
    return PROCESSORS[name].variables() if name else {}


def processors(book: Book, wanted: Sequence[str], jobs: int, paths: Sequence[str] = ()) -> int:
    """Run tests and chapters on each processor; print the table; return the exit code.

    paths: test files, folders or notebooks instead of all.
    """
    if unknown := sorted(set(wanted) - set(PROCESSORS)):
        raise BookError(f"got {', '.join(unknown)}, wanted some of {', '.join(PROCESSORS)}")
    notebooks = [path for path in paths if path.endswith(".ipynb")]
    tests = [path for path in paths if not path.endswith(".ipynb")]
    stages = [] if paths and not tests else [suite.Stage("tests", "", suite.pytest(jobs, *(tests or NUMERICAL)))]
    stages += [] if paths and not notebooks else [suite.chapters(jobs, *notebooks)]
    rows = []
    for name in wanted or PROCESSORS:
        variables = PROCESSORS[name].variables() | {CHOICE: name}
        print(f"\nprocessors: {name}: {PROCESSORS[name].says}: {seen(book.root, variables)}", flush=True)
        for outcome in suite.run(book.root, stages, variables):
            rows.append((name, outcome))
    print("\n| processor | what ran | result | minutes |\n|---|---|---|---|")
    for name, outcome in rows:
        result = f"{'passed' if outcome.passed else '**failed**'}: {outcome.counts or 'no summary'}"
        print(f"| {name}: {PROCESSORS[name].says} | {outcome.stage.name} | {result} | {outcome.seconds / 60:.1f} |")
    return 0 if all(outcome.passed for _, outcome in rows) else 1


SEEN = """
import torch
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
from threadpoolctl import threadpool_info
used = [name for name in __cpu_dispatch__ if __cpu_features__[name]]
blas = sorted({pool.get("architecture") for pool in threadpool_info() if pool["internal_api"] == "openblas"})
print(f"NumPy {' '.join(used) or 'baseline'}; OpenBLAS {' '.join(blas)}; PyTorch "
      f"{torch.backends.cpu.get_cpu_capability()}")
"""


def seen(root: Path, variables: dict[str, str]) -> str:
    """Return what the libraries say of the processor: a variable that had no effect would simulate nothing."""
    run = subprocess.run(
        [sys.executable, "-c", SEEN], cwd=root, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    return run.stdout.strip() or run.stderr.strip()[-300:]
