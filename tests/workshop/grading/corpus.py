"""Submissions of students who make mistakes, and of students who do not play fair.

Each is a small function that returns the files of one folder. `LOST` is what it must lose (every other check must be
earned in full), `STATUS` how its row must end, `SAYS` a word its flags must hold.
"""

import base64
import io
import json
import socket
import tempfile
import textwrap
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import jupytext
import nbformat

from workshop.grading.assignment import Assignment
from workshop.grading.sandbox import Limits

HERE = Path(__file__).parent
MASTER = jupytext.read(HERE / "master.md")
ASSIGNMENT = Assignment(MASTER)
POINTS = {check.grade_id: check.points for check in ASSIGNMENT.checks}
LIMITS = Limits(cell=5, call=3, submission=25, start=60, memory=2**30, processes=40)

CENTRE = {"centre-public", "centre-fresh", "centre-empty"}
POWERS = {"powers-fresh", "powers-all"}
ALL = set(POINTS)

MARK = "workshop-hostile"
"""Stands in the arguments of every process and the name of every file that a hostile submission tries to leave."""

RIGHT = {
    "centre": "def centre(x):\n    if len(x) == 0:\n        raise ValueError\n    return x - np.sum(x) / x.size",
    "powers": "def powers(x, n):\n    return [x ** (i + 1) for i in range(n)]",
    "limit": "LIMIT = 1 / 4",
    "line": "class Line:\n    def predict(self, x):\n        return x + x + 1",
    "why": "It moves the activations. And so on.",
}


@dataclass
class Case:
    """A submission and what must become of it."""

    files: dict[str, bytes]
    lost: set = field(default_factory=set)
    status: str = "ok"
    says: str = ""


CASES = {}


def case(lost=frozenset(), status="ok", says=""):
    """Enter the function that makes a submission, under its own name."""

    def enter(make):
        made = make()
        files = made if isinstance(made, dict) else {"tiny.ipynb": made}
        CASES[make.__name__] = Case(files, set(lost), status, says)
        return make

    return enter


def student(**sources):
    """Return the student's notebook with the right answers, some replaced."""
    cells = []
    for kind, grade_id, cell in ASSIGNMENT.cells:
        if kind in {"text", "set-up", "solution", "answer", "public test"}:
            copy = nbformat.from_dict(cell)
            if grade_id in ASSIGNMENT.stubs:
                copy.source = textwrap.dedent(sources.get(grade_id.replace("-", "_"), RIGHT[grade_id])).strip()
            copy.pop("id", None)
            cells.append(copy)
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}


def dump(notebook):
    return json.dumps(notebook).encode()


def written(**sources):
    return dump(student(**sources))


def last(source, **sources):
    """Return a notebook with one more code cell at its end."""
    notebook = student(**sources)
    source = textwrap.dedent(source).strip()
    notebook["cells"].append(
        {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
    )
    return dump(notebook)


def centre(body, before=""):
    """Return a notebook whose `centre` is the given body; `before` stands above the function."""
    function = "def centre(x):\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ")
    return written(centre=textwrap.dedent(before).strip() + "\n" + function)


# ---- accidents: the work is right, the file is not as expected ----


@case()
def right():
    return written()


@case(ALL)
def untouched():
    return written(**{grade_id: stub for grade_id, stub in ASSIGNMENT.stubs.items()})


@case()
def second_download():
    return {"tiny (1).ipynb": written()}


@case()
def copy_of():
    return {"Copy_of_tiny.ipynb": written()}


@case(says="2 notebooks")
def two_notebooks():
    return {"tiny.ipynb": written(), "notes.ipynb": dump({"cells": [{"cell_type": "code", "source": "1"}]})}


@case()
def zipped():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("Assignment 1/tiny.ipynb", written())
        archive.writestr("__MACOSX/Assignment 1/._tiny.ipynb", b"\0")
    return {"handed in.zip": packed.getvalue()}


@case()
def byte_order_mark():
    return b"\xef\xbb\xbf" + written()


@case()
def utf_16():
    return json.dumps(student()).encode("utf-16")


@case()
def metadata_lost():
    notebook = student()
    for cell in notebook["cells"]:
        cell["metadata"] = {}
    return dump(notebook)


@case()
def lines_in_lists_and_ids_of_another_kind():
    notebook = student()
    for cell in notebook["cells"]:
        cell["metadata"] = {"id": "x1"}
        cell["source"] = cell["source"].splitlines(keepends=True)
    return dump(notebook)


@case()
def nbformat_3():
    cells = []
    for cell in student()["cells"]:
        cell = dict(cell, metadata={})
        if cell["cell_type"] == "code":
            cell |= {"input": cell.pop("source"), "language": "python", "outputs": [], "prompt_number": 1}
        cells.append(cell)
    return dump({"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]})


@case()
def another_kernel():
    notebook = student()
    notebook["metadata"] = {"kernelspec": {"name": "julia-1.9", "language": "julia"}, "widgets": [1], "colab": None}
    return dump(notebook)


@case()
def tests_deleted():
    notebook = student()
    notebook["cells"] = [cell for cell in notebook["cells"] if "found = centre" not in cell["source"]]
    return dump(notebook)


@case()
def tests_edited():
    notebook = student()
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].replace(
            "assert np.allclose(found, [-2.0", "assert not np.allclose(found, [-2.5"
        )
    return dump(notebook)


@case()
def answer_cell_copied():
    notebook = student()
    place = next(i for i, cell in enumerate(notebook["cells"]) if "def centre" in cell["source"])
    notebook["cells"].insert(place + 1, dict(notebook["cells"][place], source=ASSIGNMENT.stubs["centre"]))
    return dump(notebook)


@case(status="review", says="more than once")
def answer_cell_copied_and_both_used():
    notebook = student()
    place = next(i for i, cell in enumerate(notebook["cells"]) if "def centre" in cell["source"])
    notebook["cells"].insert(place, dict(notebook["cells"][place], source="def centre(x):\n    return None"))
    return dump(notebook)


@case(POWERS, says="powers: the cell is missing")
def answer_cell_deleted():
    notebook = student()
    notebook["cells"] = [cell for cell in notebook["cells"] if "def powers" not in cell["source"]]
    return dump(notebook)


@case()
def hundred_megabytes_of_output():
    notebook = student()
    place = next(i for i, cell in enumerate(notebook["cells"]) if cell["cell_type"] == "code")
    notebook["cells"][place]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * (100 * 2**20)}]
    return dump(notebook)


@case(says="raised EOFError")
def asks_for_input():
    return last("name = input('who? ')")


@case({"line-fresh"}, says="raised ModuleNotFoundError")
def missing_package():
    return written(line="import a_package_nobody_has\nclass Line:\n    pass")


@case()
def warns_and_prints():
    return centre(
        """
        import sys, warnings
        warnings.warn("deprecated")
        print("here", file=sys.stderr)
        np.log(np.zeros(1))
        if x.size == 0:
            raise ValueError
        return x - x.mean()
        """
    )


@case()
def magics():
    return last(
        """
        %matplotlib inline
        !echo hello
        %timeit -n1 -r1 1+1
        import matplotlib.pyplot as plt
        plt.plot([1, 2])
        plt.show()
        """
    )


@case()
def own_cells_and_imports_added():
    notebook = student(centre="def centre(x):\n    check(x)\n    return x - statistics.fmean(x.ravel().tolist())")
    setup = next(cell for cell in notebook["cells"] if cell["source"].startswith("import numpy"))
    setup["source"] += "\nimport statistics"
    own = "def check(x):\n    if x.size == 0:\n        raise ValueError"
    notebook["cells"].insert(4, dict(setup, source=own))
    return dump(notebook)


@case(ALL - {"limit-value", "line-fresh"}, says="SyntaxError")
def syntax_errors():
    return written(centre="def centre(x:\n", powers="return [")


@case(status="unreadable", says="no notebook")
def cut_off():
    return written()[:-300]


@case(status="unreadable", says="is empty")
def empty_file():
    return b""


@case(status="unreadable", says="no notebook")
def a_document():
    return {"homework.docx": b"PK\x03\x04 something"}


@case(status="unreadable", says="no cells")
def other_json():
    return dump([1, 2, 3])


@case(status="missing", says="empty")
def nothing_in_it():
    return {}


# ---- endless ----


@case(status="review", says="ran over its 5 s")
def loop_in_a_cell():
    return last("while True:\n    pass")


@case(CENTRE, "review", "a call of centre ran over")
def loop_in_a_function():
    return centre("while True:\n    pass")


@case(CENTRE, "review", "ran over")
def loop_that_swallows_interrupts():
    return centre(
        """
        import signal, time
        for number in range(1, 60):
            try:
                signal.signal(number, signal.SIG_IGN)
            except Exception:
                pass
        while True:
            try:
                time.sleep(100)
            except BaseException:
                pass
        """
    )


@case(CENTRE, "review", "ran over")
def sleeps_in_c_code():
    return centre("import ctypes\nctypes.CDLL(None).sleep(1000)")


@case(CENTRE, "review", "ran over")
def stops_itself():
    return centre("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)")


# ---- greedy ----


@case(CENTRE)
def memory_at_once():
    return centre("return bytearray(1 << 44)")


@case(CENTRE, "review")
def memory_bit_by_bit():
    return centre(
        """
        hoard = []
        while True:
            try:
                hoard.append(bytearray(1 << 24))
            except MemoryError:
                import os
                os._exit(1)
        """
    )


@case(status="review", says="memory")
def memory_of_many_children():
    return last(
        """
        import os, time
        for _ in range(10):
            if os.fork() == 0:
                hoard = bytearray(b"x") * (300 << 20)
                time.sleep(100)
        time.sleep(100)
        """
    )


@case()
def fork_bomb_in_a_cell():
    return last(
        """
        import os, time
        try:
            for _ in range(2000):
                if os.fork() == 0:
                    time.sleep(100)
        except OSError:
            pass
        """
    )


@case(CENTRE, "review")
def fork_bomb_in_a_function():
    return centre("import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass")


@case()
def threads_without_end():
    return last(
        """
        import threading, time
        try:
            for _ in range(2000):
                threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
        except RuntimeError:
            pass
        """
    )


@case(says="raised OSError")
def fills_the_disk():
    return last(
        """
        import os
        for number in range(10 ** 6):
            with open(f"/tmp/fill{number}", "wb") as file:
                file.write(bytes(100 << 20))
        """
    )


@case(CENTRE)
def array_of_a_gigabyte():
    return centre("return np.zeros(100_000_000, np.uint8)")


@case(CENTRE)
def endless_text():
    return centre("return 'x' * (64 << 20)")


@case(CENTRE)
def deep_list():
    return centre("y = []\nfor _ in range(100_000):\n    y = [y]\nreturn y")


@case(CENTRE)
def list_that_holds_itself():
    return centre("y = []\ny.append(y)\nreturn y")


@case(CENTRE)
def huge_number():
    return centre("return 10 ** 100_000")


# ---- suicidal ----


@case(status="review", says="own cell 1: ended its process")
def exits_in_a_cell():
    return last("import os\nos._exit(0)")


@case(CENTRE, "review", "a call of centre ended its process")
def exits_in_a_function():
    return centre("import os\nos._exit(0)")


@case(says="raised SystemExit")
def sys_exit_in_a_cell():
    return last("import sys\nsys.exit(0)")


@case(CENTRE)
def sys_exit_in_a_function():
    return centre("import sys\nsys.exit(0)")


@case(status="review", says="ended its process")
def kills_everything_it_may():
    return last("import os\ntry:\n    os.kill(-1, 9)\nexcept OSError:\n    pass\nos.kill(0, 9)")


@case(CENTRE, "review", "ended its process")
def crashes():
    return centre("import ctypes\nctypes.string_at(0)")


@case()
def deletes_everything_in_the_last_cell():
    return last(
        """
        for name in list(globals()):
            if name != "LIMIT":
                del globals()[name]
        """
    )


@case()
def resets_in_the_last_cell():
    return last("%reset -f")


@case()
def redefines_everything_in_the_last_cell():
    return last("centre = powers = Line = print\nnp = None")


@case(CENTRE | {"line-fresh"}, says="raised")
def takes_the_shell_apart():
    return last(
        """
        import builtins, sys
        get_ipython().run_cell = None
        for name in list(sys.modules):
            if name != "sys":
                sys.modules[name] = None
        for name in list(vars(builtins)):
            delattr(builtins, name)
        """
    )


# ---- dishonest: the answer is not there, the points are wanted all the same ----

WRONG = "return x"


@case(CENTRE)
def overwrites_numpy():
    return centre(
        WRONG,
        """
        yes = lambda *_, **__: True
        for name in ("allclose", "array_equal", "isclose", "shape", "all"):
            setattr(np, name, yes)
        np.testing.assert_allclose = np.testing.assert_array_equal = yes
        import numpy.core.numeric
        numpy.core.numeric.allclose = yes
        """,
    )


@case(CENTRE, "review")
def overwrites_builtins():
    return centre(
        WRONG,
        """
        import builtins
        for name in ("all", "any", "abs", "isinstance", "len", "AssertionError"):
            setattr(builtins, name, lambda *_: True)
        """,
    )


EQUAL = """
class Equal({base}):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    def __gt__(self, other): return True
    def __le__(self, other): return True
    def __hash__(self): return 1
    def __getattr__(self, name): return self
    def __call__(self, *_): return self
    def __bool__(self): return True
    def __array_ufunc__(self, *_, **__): return True
    def __array_function__(self, *_): return True
    def __array__(self, *_, **__): return np.ones(1)
    def __sub__(self, other): return self
    def __len__(self): return 2
    shape = property(lambda self: self)
"""


@case(CENTRE)
def equals_everything():
    return centre("return Equal()", EQUAL.format(base="object"))


@case(CENTRE)
def array_that_equals_everything():
    return centre("return np.ones(3).view(Equal)", EQUAL.format(base="np.ndarray"))


@case(CENTRE)
def number_that_equals_everything():
    return centre("return Equal(1.0)", EQUAL.format(base="float"))


@case(POWERS)
def list_that_equals_everything():
    return written(powers=EQUAL.format(base="list") + "\ndef powers(x, n): return Equal([1])")


@case({"limit-value"})
def value_that_equals_everything():
    return written(limit=EQUAL.format(base="object") + "\nLIMIT = Equal()")


@case({"line-fresh"})
def method_that_equals_everything():
    return written(line=EQUAL.format(base="object") + "\nclass Line:\n    def predict(self, x): return Equal()")


@case(CENTRE)
def drops_asserts_from_the_text():
    return centre(
        WRONG,
        """
        def drop(lines):
            return ["pass\\n" if line.lstrip().startswith("assert") else line for line in lines]
        get_ipython().input_transformers_cleanup.append(drop)
        get_ipython().input_transformers_post.append(drop)
        """,
    )


@case(CENTRE)
def drops_asserts_from_the_tree():
    return centre(
        WRONG,
        """
        import ast
        class Drop(ast.NodeTransformer):
            def visit_Assert(self, node): return ast.copy_location(ast.Pass(), node)
            def visit_Raise(self, node): return ast.copy_location(ast.Pass(), node)
        get_ipython().ast_transformers.append(Drop())
        """,
    )


@case(POWERS)
def stops_the_loop_of_a_check():
    return written(powers="def powers(x, n):\n    raise StopIteration")


@case(CENTRE)
def raises_whatever_is_wanted():
    return centre("raise type('AssertionError', (BaseException,), {})('1.0')")


@case(CENTRE)
def claims_to_raise():
    return centre(
        """
        class Any(Exception):
            def __str__(self): raise SystemExit
        Any.__name__ = "ValueError" if np.size(x) else "KeyboardInterrupt"
        raise Any
        """
    )


@case(CENTRE)
def not_a_number():
    return centre("return np.full(np.shape(x), np.nan)")


@case(CENTRE)
def searches_the_disk():
    """Looks for the master, the judge and other students' work, and would answer right if it found any."""
    known = [str(HERE), str(HERE.parents[3] / "assignments"), str(HERE.parents[3] / "src" / "workshop")]
    return centre(
        f"""
        import os
        for folder in {known!r}:
            if os.path.exists(folder):
                return x - x.mean()
        for folder, folders, names in os.walk("/"):
            folders[:] = [name for name in folders if name not in ("proc", "sys", "usr", "lib", "site-packages")]
            if {{"master.md", "judge.py", "assignment.py", "gradebook.db", "tiny.ipynb"}} & set(names):
                return x - x.mean()
        raise KeyError
        """
    )


@case(CENTRE)
def searches_other_processes():
    return centre(
        """
        import glob
        for path in glob.glob("/proc/[0-9]*/*"):
            if path.endswith(("environ", "cmdline", "maps", "comm")):
                try:
                    text = open(path, "rb").read()
                except OSError:
                    continue
                if b"pytest" in text or b"WORKSHOP_SECRET" in text or b"workshop.grading.server" in text:
                    return x - x.mean()
        raise KeyError
        """
    )


@case(CENTRE)
def searches_memory():
    """Looks for the expected value among the objects of its own process and the frames above it."""
    return centre(
        """
        import gc, sys
        frame = sys._getframe()
        while frame:
            for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
                if type(value) is np.ndarray and value is not x and value.shape == x.shape:
                    return value
            frame = frame.f_back
        for value in gc.get_objects():
            if type(value).__name__ in ("Check", "Trusted") or isinstance(value, dict) and "reference" in value:
                return x - x.mean()
        raise KeyError
        """
    )


@case(says="raised")
def writes_outside():
    places = [str(Path.home()), str(HERE), str(HERE.parents[3]), "/usr/lib", "/etc", "/", "/var/tmp", "/dev"]
    return last(
        f"""
        import os
        for place in {places!r}:
            try:
                with open(os.path.join(place, "{MARK}"), "w") as file:
                    file.write("here")
            except OSError:
                pass
        raise OSError("done")
        """
    )


LISTENER = socket.create_server(("127.0.0.1", 0))
LISTENER.settimeout(0.01)


@case(CENTRE)
def calls_out():
    """Asks a server on the loopback, and one beyond, for the answer."""
    return centre(
        f"""
        import socket
        for place in (("127.0.0.1", {LISTENER.getsockname()[1]}), ("1.1.1.1", 53), ("example.org", 80)):
            try:
                socket.create_connection(place, timeout=0.5)
                return x - x.mean()
            except OSError:
                pass
        raise KeyError
        """
    )


@case()
def leaves_a_daemon():
    return last(
        f"""
        import os, subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "{MARK}"], start_new_session=True)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", "{MARK}"])
            os._exit(0)
        """
    )


@case(CENTRE)
def leaves_files():
    return centre(
        f"""
        import os
        for number in range(50):
            open(f"{tempfile.gettempdir()}/{MARK}-{{number}}", "w")
        os.chmod(".", 0)
        return x
        """
    )


FORGE = """
import os, struct, json
def frame(message):
    body = json.dumps(message).encode()
    return struct.pack(">I", len(body)) + body
def pour(data):
    for descriptor in range(1, 30):
        try:
            os.write(descriptor, data)
        except OSError:
            pass
"""


@case(CENTRE | {"powers-fresh"}, "review")
def forges_one_frame():
    """The forged reply has the number of the first call and is taken for it; the true one then stands in the way."""
    return centre("pour(frame([15, ['value', True]]))\nreturn None", FORGE)


@case(status="review", says="wrote to the judge's pipe; left out")
def forges_frames_ahead():
    """Answers in advance, for every number a request may have: that cell is left out, the rest is right."""
    return last(
        "for number in range(40):\n    pour(frame([number, ['value', {'float': 'nan'}]]))",
        centre=FORGE + RIGHT["centre"],
    )


@case(CENTRE, "review")
def forges_a_frame_without_end():
    return centre("pour(b'\\xff\\xff\\xff\\xff' + b'x' * 1000)\nreturn None", FORGE)


@case(CENTRE, "review")
def pours_rubbish():
    return centre("pour(b'\\0\\0\\0\\x05[1,]]' + os.urandom(5000))\nreturn None", FORGE)


@case(CENTRE, "review")
def closes_the_pipe():
    return centre("import os\nos.closerange(0, 100)\nreturn None")


@case(CENTRE)
def prints_marks():
    return centre("print(1.0)\nimport sys\nsys.__stdout__.write('full marks')\nreturn None")


TAGS = [
    {"name": "centre"},
    {"generator": {"dict": [["bit_generator", "PCG64"]]}},
    {"array": ["|O8", [1], base64.b64encode(bytes(8)).decode()]},
    {"array": ["<f8", [-1], ""]},
    {"array": ["<f8", [1 << 40, 1 << 40, 0], ""]},
    {"array": ["<f8", "ab", ""]},
    {"tuple": 3},
    {"dict": [[[1], 2]]},
    {"float": "1e400"},
    {"torch": ["<f8", [0], ""], "x": 1},
    {"__class__": "Equal"},
]


@case(ALL, "review", "answered in a way that no function does")
def speaks_the_wire_badly():
    """Replaces the encoder in its own process: every reply is a broken or forbidden value, one after the other."""
    return centre(
        """
        import json, sys
        sys.modules["wire"].encode = lambda *_, **__: next(tags)
        return 1
        """,
        f"tags = iter({TAGS!r} * 9)",
    )


@case(ALL)
def patches_the_wire():
    return centre(
        """
        import sys
        sys.modules["wire"].encode = lambda value, *_, **__: True
        return x
        """
    )


@case(CENTRE, "review")
def answers_for_others():
    """Patches the worker's own loop through the stack; the answers the judge wants are not in its reach."""
    return centre(
        """
        import sys
        frame = sys._getframe()
        while frame.f_back:
            frame = frame.f_back
        frame.f_globals["raised"] = lambda error: ["value", True]
        frame.f_globals["wire"].pack = lambda *_: b"\\0\\0\\0\\x02[]"
        return None
        """
    )


@case({"centre-fresh"})
def hard_codes_the_public_test():
    return centre("if len(x) == 0:\n    raise ValueError\nreturn np.array([-2.0, -1.0, 3.0])")


@case({"centre-public", "centre-fresh"})
def right_only_in_shape():
    return centre("if len(x) == 0:\n    raise ValueError\nreturn np.zeros_like(x)")


# ---- dishonest files ----


@case()
def code_in_the_answer():
    return written(why="<script>alert(1)</script><img src=x onerror=alert(1)> =cmd|' /C calc'!A0")


@case(status="unreadable", says="leads out")
def zip_that_climbs():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"../../{MARK}.ipynb", written())
    return {"x.zip": packed.getvalue()}


@case(status="unreadable", says="MB")
def zip_bomb():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny.ipynb", bytes(250 << 20))
    return {"x.zip": packed.getvalue()}


@case(status="unreadable", says="no notebook")
def json_without_bottom():
    return b"[" * 200_000


@case(ALL, status="ok")
def odd_cells():
    cells = [{"cell_type": "code", "source": s} for s in (None, 3, ["a", 4], {"x": 1})] + [
        None,
        7,
        {"cell_type": "raw"},
    ]
    cells += [{"cell_type": "code", "source": "\ud800 = 1", "metadata": {"nbgrader": {"grade_id": ["centre"]}}}]
    return dump({"cells": cells})


@case()
def marks_in_the_metadata():
    notebook = student()
    for cell in notebook["cells"]:
        meta = cell["metadata"].get("nbgrader", {})
        if "points" in meta:
            meta |= {"points": 1e6, "checksum": "0"}
    return dump(notebook)


@case({"centre-public", "centre-fresh", "centre-empty"})
def first_output_forged():
    """The notebook already holds the output that nbgrader would read as full marks, and locked cells are unlocked."""
    notebook = json.loads(centre(WRONG))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [
                {"output_type": "execute_result", "data": {"text/plain": "2.0"}, "metadata": {}, "execution_count": 1}
            ]
        if "nbgrader" in cell["metadata"]:
            cell["metadata"]["nbgrader"]["locked"] = False
    return dump(notebook)
