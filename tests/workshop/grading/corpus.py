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


@case(status="review", says="memory")
def memory_shared_by_many_children():
    """Each child holds less than the limit, in pages that it could share and does not."""
    return last(
        """
        import mmap, os, time
        for _ in range(8):
            if os.fork() == 0:
                hoard = mmap.mmap(-1, 250 << 20)
                for at in range(0, 250 << 20, 1 << 20):
                    hoard[at : at + (1 << 20)] = bytes(1 << 20)
                time.sleep(100)
        time.sleep(100)
        """
    )


@case(says="raised OSError")
def memory_in_sockets():
    """What waits in a socket is the kernel's memory and nobody's; so there are few sockets."""
    return last(
        """
        import socket
        hoard = []
        while True:
            for one in socket.socketpair():
                one.setblocking(False)
                hoard.append(one)
            try:
                while True:
                    hoard[-1].send(bytes(1 << 16))
            except BlockingIOError:
                pass
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


# ---- accidents at the door: the work is there, in another place or of another kind ----


def changed(change, **sources):
    """Return the right notebook after `change(cells, find)`; find: returns the cell that holds a text."""
    notebook = student(**sources)
    cells = notebook["cells"]
    change(cells, lambda text: next(cell for cell in cells if text in cell["source"]))
    return dump(notebook)


def behind(cells, cell, kind, source, **more):
    """Put a cell of the student's own behind another one."""
    made = {"cell_type": kind, "metadata": {}, "source": source} | more
    cells.insert(cells.index(cell) + 1, made)


@case(says="why: put together from 2 text cells")
def answer_in_two_cells():
    return changed(lambda cells, find: behind(cells, find("It moves"), "markdown", "And more."))


@case(says="centre: stands in a markdown cell")
def solution_turned_into_markdown():
    return changed(lambda cells, find: find("def centre").update(cell_type="markdown"))


@case(says="read as code")
def solution_turned_raw():
    return changed(lambda cells, find: find("def centre").update(cell_type="raw"))


@case(says="why: stands in a code cell")
def answer_turned_into_code():
    return changed(lambda cells, find: find("It moves").update(cell_type="code"))


@case(says="powers: answered in the cell of centre")
def two_solutions_merged():
    def merge(cells, find):
        find("def centre")["source"] += "\n\n" + find("def powers")["source"]
        cells.remove(next(cell for cell in cells if cell["source"].startswith("def powers")))

    return changed(merge)


@case(says="centre: answered in a cell of the student's own")
def stub_left_and_answered_below():
    stub = ASSIGNMENT.stubs["centre"]
    return changed(lambda cells, find: behind(cells, find(stub), "code", RIGHT["centre"]), centre=stub)


@case()
def answered_below_its_tests():
    return last(RIGHT["powers"], powers="import math")


@case()
def name_used_again_below_its_tests():
    return changed(lambda cells, find: behind(cells, find("found = centre"), "code", "centre = centre(np.ones(2))"))


@case()
def module_written_by_the_notebook():
    own = "%%writefile mine.py\n" + RIGHT["centre"].replace("np.sum(x)", "x.sum()")
    return changed(
        lambda cells, find: behind(cells, find("import numpy"), "code", own), centre="from mine import centre"
    )


@case()
def installs_with_conda():
    return written(centre="%conda install -y numpy\n%pip install -q numpy\n" + RIGHT["centre"])


@case()
def comes_from_colab():
    colab = "from google.colab import drive, files\nimport google.colab\ndrive.mount('/content/drive')\n"
    return written(centre=colab + RIGHT["centre"])


@case()
def timed_and_ids_lost():
    notebook = student(centre="%%time\n" + RIGHT["centre"])
    for cell in notebook["cells"]:
        cell["metadata"] = {}
    return dump(notebook)


@case()
def lines_end_as_on_windows():
    notebook = student()
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].replace("\n", "\r\n")
    return dump(notebook)


@case()
def picture_in_the_answer():
    picture = {"plot.png": {"image/png": "iVBORw0KGgo="}}
    return changed(lambda cells, find: find("It moves").update(attachments=picture))


@case(status="review", says="shows the file plot.png")
def picture_left_at_home():
    return written(why="See ![my plot](plot.png).")


@case()
def notes_of_ones_own():
    return changed(lambda cells, find: behind(cells, find("found = centre"), "markdown", "Note to self: done."))


@case(says="read as the notebook that it is")
def saved_as_text():
    return {"tiny.ipynb.txt": written()}


@case(says="stands more than once", status="review")
def two_answers():
    def twice(cells, find):
        cells.append(dict(find("It moves"), source="Another answer."))

    return changed(twice)


# ---- right answers of another kind ----


@case()
def long_double():
    return centre("if x.size == 0:\n    raise ValueError\nreturn (x - x.mean()).astype(np.longdouble)")


@case()
def masked_array():
    return centre("if x.size == 0:\n    raise ValueError\nreturn np.ma.array(x - x.mean())")


@case()
def table_of_pandas():
    return centre(
        """
        if x.size == 0:
            raise ValueError
        return (pd.Series if x.ndim == 1 else pd.DataFrame)(x - x.mean())
        """,
        "import pandas as pd",
    )


@case()
def lists_for_arrays():
    return centre("if x.size == 0:\n    raise ValueError\nreturn (x - x.mean()).tolist()")


@case()
def number_of_numpy():
    return written(limit="LIMIT = np.longdouble(1) / 4")


@case()
def works_in_place():
    return centre("if x.size == 0:\n    raise ValueError\nx -= x.mean()\nreturn x")


@case()
def prints_without_end_in_sight():
    return centre(
        "for _ in range(20_000):\n    print('x' * 80)\nif x.size == 0:\n    raise ValueError\nreturn x - x.mean()"
    )


@case()
def settings_left_changed():
    return last(
        """
        import os, random, warnings
        np.seterr(all="raise")
        np.random.seed(0)
        warnings.simplefilter("error")
        os.chdir("/")
        """
    )


# ---- no science ----


@case(CENTRE)
def empty_array_that_broadcasts():
    return centre("return np.zeros((0, 1))")


@case(CENTRE)
def one_number_for_all():
    return centre("return 0.0")


@case(CENTRE)
def one_by_one():
    return centre("return np.ones((1, 1))")


@case(CENTRE)
def tiny_numbers():
    return centre("return np.full(np.shape(x), 1e-12)")


@case(CENTRE)
def infinities():
    return centre("return np.full(np.shape(x), np.inf)")


@case(CENTRE)
def the_input_returned():
    return centre("return x")


@case(CENTRE)
def a_generator_of_values():
    return centre("yield from x - 3")


@case(CENTRE)
def a_set():
    return centre("return {1.0, 2.0}")


@case(CENTRE)
def a_dict_of_thousands():
    return centre("return dict.fromkeys(range(5000))")


@case(CENTRE)
def calls_itself_for_ever():
    return centre("return centre(x)")


@case(CENTRE)
def interrupts():
    return centre("raise KeyboardInterrupt")


@case(CENTRE)
def raises_many_at_once():
    return centre("raise ExceptionGroup('all', [AssertionError(), TypeError()])")


# ---- what the walls must hold: each answers right if it gets through ----


def gets_through(attempt, before=""):
    """Return a notebook whose `centre` is right only where `attempt`, an expression, is true."""
    tools = """
import ctypes, os, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
column = ["x86_64", "aarch64"].index(platform.machine())
def call(numbers, *arguments):
    return libc.syscall(numbers[column], *arguments)
"""
    body = f"if not ({attempt}):\n    raise KeyError\nif x.size == 0:\n    raise ValueError\nreturn x - x.mean()"
    return centre(body, tools + textwrap.dedent(before))


@case(CENTRE)
def keeps_it_in_the_keyring():
    return gets_through("call((248, 217), b'user', b'leak', b'1', 1, -3) > 0")


@case(CENTRE)
def joins_a_keyring():
    return gets_through("call((250, 219), 1, None) > 0 or call((250, 219), 0, -3, 1) > 0")


@case(CENTRE)
def memory_in_a_memfd():
    return gets_through("call((319, 279), b'x', 0) >= 0 or call((447, 447), 0) >= 0")


@case(CENTRE)
def memory_in_a_shared_segment():
    return gets_through("call((29, 194), 0, 1 << 20, 0o1600) >= 0 or call((68, 186), 0, 0o1600) >= 0")


@case(CENTRE)
def traces():
    return gets_through("call((101, 117), 0, 0, 0, 0) == 0")


@case(CENTRE)
def makes_a_user_namespace():
    return gets_through("libc.unshare(0x10000000) == 0")


@case(CENTRE)
def forks_into_a_namespace():
    return gets_through("call((56, 220), 0x10000000 | 17, 0, 0, 0, 0) > 0")


@case(CENTRE)
def mounts():
    return gets_through("libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0")


@case(CENTRE)
def loads_a_program_into_the_kernel():
    return gets_through("call((321, 280), 0, None, 0) >= 0 or call((425, 425), 8, bytes(120)) >= 0")


@case(CENTRE)
def handles_page_faults():
    return gets_through("call((323, 282), 1) >= 0")


@case(CENTRE)
def sets_the_clock():
    return gets_through("call((227, 112), 0, bytes(16)) == 0")


@case(CENTRE)
def opens_a_way_to_the_host():
    return gets_through(
        "open_to(40) or open_to(38) or open_to(17)",
        "def open_to(family):\n"
        "    try:\n        socket.socket(family, socket.SOCK_STREAM).close()\n"
        "    except OSError:\n        return False\n"
        "    return True\n",
    )


@case(CENTRE)
def is_somebody_else():
    return gets_through("os.getuid() == 0 or os.geteuid() == 0 or libc.setuid(0) == 0")


@case(CENTRE)
def is_more_urgent():
    return gets_through("libc.setpriority(0, 0, -5) == 0")


@case(CENTRE, "review", "a call of centre ended its process")
def tells_after_a_restart():
    notebook = json.loads(centre("open('/tmp/home/seen', 'w').write(repr(x))\nos._exit(1)", "import os"))
    own = "import os\nif os.path.exists('/tmp/home/seen'): raise KeyError(open('/tmp/home/seen').read())"
    notebook["cells"].append({"cell_type": "code", "metadata": {}, "source": own, "outputs": []})
    return dump(notebook)


# ---- parsers ----


@case(ALL, "review", "answered in a way that no function does")
def keys_that_collide():
    return centre(
        """
        import sys
        sys.modules["wire"].encode = lambda *_, **__: ANSWER
        return 1
        """,
        "ANSWER = {'dict': [[(2**61 - 1) * number, 0] for number in range(1, 100_000)]}",
    )


@case(status="unreadable", says="parts; no notebook has")
def millions_of_lists():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny.ipynb", b'{"cells":[' + b"[]," * 5_000_000 + b"[]]}")
    return {"x.zip": packed.getvalue()}


@case(status="unreadable", says="a cell has 2 MB")
def one_endless_cell():
    return last("x = 1\n" * (2**21 // 6))


@case(status="unreadable", says="1200 cells")
def cells_without_end():
    notebook = student()
    notebook["cells"] += [{"cell_type": "code", "source": "1", "metadata": {}}] * (1200 - len(notebook["cells"]))
    return dump(notebook)


@case(says="100 code cells")
def anagrams_of_a_test():
    notebook = student()
    letters = "assert np.allclose(found, [-2.0, -1.0, 3.0])"
    for number in range(100):
        at = number % len(letters)
        source = "#" + letters[at:] + letters[:at] + str(number)
        notebook["cells"].append({"cell_type": "code", "source": source, "metadata": {}})
    return dump(notebook)
