"""The judge on single submissions, with a bare process as sandbox: what checks see, and whose fault a failure is."""

import copy
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import jupytext
import psutil
import pytest
from corpus import ALL, ASSIGNMENT, CASES, LIMITS, MASTER, POINTS, RIGHT, dump, last, student, written

from workshop.grading import channel, judge, sandbox, seccomp, server
from workshop.grading.intake import read_notebook
from workshop.grading.sandbox import Sandbox, SandboxError, Stopped

FAIR_IN_A_PROCESS = [
    "untouched",
    "loop_in_a_function",
    "memory_at_once",
    "memory_bit_by_bit",
    "exits_in_a_cell",
    "crashes",
    "takes_the_shell_apart",
    "overwrites_numpy",
    "array_that_equals_everything",
    "value_that_equals_everything",
    "drops_asserts_from_the_tree",
    "stops_the_loop_of_a_check",
    "forges_one_frame",
    "pours_rubbish",
    "deep_list",
]
"""Hostile cases that a process without walls stands too; spying and calling out are not among them."""


def judged(data, master=MASTER, **options):
    options = {"seed": 1, "isolation": "process", "limits": LIMITS} | options
    return judge.grade(master, read_notebook(data), **options)


@pytest.mark.parametrize("name", ["right", *FAIR_IN_A_PROCESS])
def test_marks_are_the_same_without_walls(name, tmp_path, monkeypatch):
    case = CASES[name]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = judged(case.files["tiny.ipynb"])
    assert found.failed == case.lost
    assert found.status == case.status
    assert found.isolation == "process"
    assert list(tmp_path.iterdir()) == []


def test_the_same_seed_gives_the_same_judgement_and_another_one_other_inputs():
    spy = (
        "def centre(x):\n    if np.size(x) == 0:\n        raise ValueError\n"
        "    if np.ndim(x) == 2:\n        raise KeyError(repr(float(x.sum())))\n    return x - x.mean()"
    )
    why = [judged(written(centre=spy), seed=seed).items["centre-fresh"].why for seed in (5, 5, 6)]
    assert why[0] == why[1] != why[2]
    assert re.fullmatch(r"KeyError: [\"'\\]+\d+\.\d+[\"'\\]+", why[0])


def test_every_hidden_check_has_numbers_of_its_own():
    """One generator for all would let a student's call in one check foretell what the next one asks."""
    master = copy.deepcopy(MASTER)
    for cell in master.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") in {"centre-fresh", "centre-empty"}:
            cell.source = "centre(rng.normal(size=(2, 2)))"
    spy = (
        "def centre(x):\n    if np.ndim(x) == 2:\n        raise KeyError(repr(float(x.sum())))\n    return x - x.mean()"
    )
    items = judged(written(centre=spy), master=master).items
    seen = [items[name].why for name in ("centre-fresh", "centre-empty")]
    assert all(re.fullmatch(r"KeyError: [\"'\\]+-?\d+\.\d+[\"'\\]+", why) for why in seen)
    assert seen[0] != seen[1]


def test_partial_credit():
    found = judged(written(powers="def powers(x, n):\n    return [x ** (i + 1) for i in range(max(n, 1))]"))
    assert found.items["powers-fresh"].points == 1
    assert found.failed == {"powers-fresh"}


def variant(old, new):
    """Return the master with one piece replaced."""
    text = jupytext.writes(MASTER, fmt="md:myst")
    assert text.count(old) == 1
    return jupytext.reads(text.replace(old, new), fmt="md:myst")


CALLS = [
    (
        "the student's function as an argument",
        "prediction(x_line)",
        "reference.centre(twice(centre, x_line)) + 2 * x_line + 1",
    ),
    ("a generator as an argument", "prediction(x_line)", "2 * x_line + 1 + 0 * drawn(np.random.default_rng(8))"),
    ("keywords", "prediction(x_line)", "prediction(x=x_line)"),
]


@pytest.mark.parametrize(("what", "old", "new"), CALLS, ids=[what for what, *_ in CALLS])
def test_calls_from_a_hidden_check(what, old, new):
    helpers = (
        "def twice(f, x):\n    return f(f(x)) * 0\ndef drawn(rng):\n    return float(rng.normal())\ndef prediction(x):"
    )
    text = jupytext.writes(variant(f"np.array_equal({old},", f"np.allclose({new},"), fmt="md:myst")
    master = jupytext.reads(text.replace("def prediction(x):", helpers), fmt="md:myst")
    assert judged(written(), master).failed == set()


def test_an_exception_that_is_not_mirrored_is_no_built_in_one():
    kinds = {"ValueError", "ZeroDivisionError", "KeyError", "NotImplementedError", "RecursionError"}
    assert kinds <= set(judge.MIRRORED)
    assert not {"StopIteration", "StopAsyncIteration", "GeneratorExit", "SystemExit", "MemoryError"} & set(
        judge.MIRRORED
    )


def test_stopped_and_unusable_cannot_be_swallowed_by_a_check():
    master = variant("except ValueError:\n    pass", "except Exception:\n    pass")
    for body in ("import os; os._exit(0)", "return print"):
        found = judged(written(centre=f"def centre(x):\n    {body}"), master)
        assert "centre-empty" in found.failed


def test_a_function_of_the_set_up_calls_the_students_function_not_the_masters():
    text = jupytext.writes(MASTER, fmt="md:myst")
    text = text.replace("import numpy as np\n", "import numpy as np\n\ndef through(x):\n    return centre(x)\n", 1)
    text = text.replace("found = centre(np.array([1.0", "found = through(np.array([1.0")
    master = jupytext.reads(text, fmt="md:myst")
    assert judged(written(), master).failed == set()
    assert "centre-public" in judged(written(centre="def centre(x):\n    return x"), master).failed


def test_time_for_the_whole_submission_ends():
    start = time.monotonic()
    found = judged(last("import time\ntime.sleep(4)\n"), limits=replace(LIMITS, submission=2))
    assert time.monotonic() - start < 60  # on a busy machine, too; nine checks that each sleep take longer
    assert found.status == "review"
    assert found.failed == ALL
    assert "the submission ran over its 2 s" in " ".join(item.why for item in found.items.values())


@pytest.mark.skipif(not Path("/proc/self/schedstat").is_file(), reason="this kernel does not count who waits")
def test_a_busy_machine_takes_no_time_from_a_student():
    """One core for five processes, and a limit of twice what the work takes alone: the clock stands while it waits."""
    source = """
import time
def work(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
"""
    core = min(os.sched_getaffinity(0))
    busy = f"import os\nos.sched_setaffinity(0, {{{core}}})\nprint('busy', flush=True)\nwhile True: pass"
    command = [sys.executable, "-c", busy]
    # Each in a session of its own, as the sandbox is: Linux shares a core between sessions, not between processes.
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) for _ in range(4)]
    assert [process.stdout.readline() for process in others] == [b"busy\n"] * 4  # now, not when they come to it
    box = Sandbox("process", LIMITS)
    try:
        os.sched_setaffinity(box.process.pid, {core})
        assert box.ask("cell", source, seconds=5) is None
        assert box.ask("cell", "work(1.0)", seconds=2) is None
        assert box.granted > 1
        with pytest.raises(Stopped, match="ran over its 1 s"):
            box.ask("cell", "work(60.0)", seconds=1)
    finally:
        box.close()
        for process in others:
            process.kill()
            process.communicate()


def test_a_limit_stretches_so_far_and_no_further(monkeypatch):
    """A student may have started those who keep the machine busy."""
    monkeypatch.setattr(channel, "PATIENCE", 3)
    child = subprocess.Popen(["sleep", "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pipes, start = channel.Channel(child, 100), time.monotonic()
    try:
        with pytest.raises(channel.Broken, match=r"ran over its 0\.5 s"):
            pipes.ask(b"x", 0.5, kept=lambda: 1e9)
        assert time.monotonic() - start >= 1.5
        assert pipes.granted == pytest.approx(1.0)
    finally:
        child.kill()
        child.wait()
        pipes.close()


def test_a_sandbox_that_does_not_start_is_an_error_and_no_judgement(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(SandboxError, match="does not start"):
        judged(written())


def test_a_worker_that_fails_before_the_student_is_an_error_that_says_why(monkeypatch, tmp_path):
    (tmp_path / "worker.py").write_text("raise ImportError('no such thing')")
    monkeypatch.setattr(sandbox, "HERE", tmp_path)
    with pytest.raises(SandboxError, match="no such thing"):
        judged(written())


def test_memory_of_the_judge_itself_is_not_the_students_fault():
    with pytest.raises(MemoryError):
        judged(written(), variant("assert LIMIT == 0.25", "raise MemoryError"))


def test_limits_hold_in_a_bare_process():
    box = Sandbox("process", LIMITS)
    try:
        source = "import resource, os\nlimits = [resource.getrlimit(getattr(resource, 'RLIMIT_' + n)) for n in {}]"
        assert box.ask("cell", source.format(["AS", "CPU", "FSIZE", "CORE"]), seconds=5) is None
        assert box.ask("value", "", "limits", seconds=5)[1] == [
            {"tuple": [most, most]} for most in (LIMITS.memory, int(LIMITS.submission) + 10, LIMITS.file, 0)
        ]
        assert box.ask("cell", "import os\nnames = sorted(os.environ)\nhome = os.getcwd()", seconds=5) is None
        names = box.ask("value", "", "names", seconds=5)[1]
        assert not {"WORKSHOP_SECRET", "PYTEST_CURRENT_TEST", "SSH_AUTH_SOCK"} & set(names)
        home = box.ask("value", "", "home", seconds=5)[1]
        assert home != os.getcwd()
    finally:
        box.close()
    assert not os.path.exists(home)


def test_what_a_process_without_walls_leaves_behind_is_ended_by_its_server():
    source = """
    import os, subprocess, sys
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(300)", "workshop-straggler"])
        os._exit(0)
    """
    task = {
        "key": "x",
        "master": MASTER,
        "submission": read_notebook(last(source)),
        "seed": 1,
        "isolation": "process",
        "limits": vars(LIMITS),
    }
    assert sum(item["points"] for item in server.judge(task)["items"].values()) == sum(POINTS.values())
    server.dismiss()
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert [line for line in lines if "workshop-straggler" in line] == []


def test_a_judge_that_dies_or_hangs_is_an_error_with_the_key(monkeypatch):
    monkeypatch.setattr(server, "SLACK", -2.0)
    limits = vars(LIMITS) | {"submission": 2.0, "start": 2.0}
    task = {"key": "k", "master": {"cells": []}, "submission": {}, "seed": 1, "isolation": "process", "limits": limits}
    assert re.fullmatch(r"AttributeError.*|KeyError.*|.*ran over its 2 s", server.judge(task)["error"])
    hung = variant("assert LIMIT == 0.25", "import time\ntime.sleep(60)")
    answer = server.judge(task | {"master": hung, "submission": read_notebook(written())})
    assert answer == {"key": "k", "error": "the judge ran over its 2 s"}
    dead = variant("assert LIMIT == 0.25", "import os\nos._exit(3)")
    monkeypatch.setattr(server, "SLACK", 60.0)
    answer = server.judge(task | {"master": dead, "submission": read_notebook(written())})
    assert answer == {"key": "k", "error": "the judge ended its process"}
    server.dismiss()


def test_bubblewrap_shows_the_system_read_only_and_nobody_elses_files(bubblewrap):
    box = Sandbox("bubblewrap", LIMITS)
    try:
        source = """
import os, socket
system = "bin lib lib32 lib64 libx32 sbin usr proc dev tmp etc".split()
seen = sorted(set(os.listdir("/")) - set(system))
try:
    open("/usr/x", "w")
except OSError as error:
    usr = error.errno
user, pids = os.getuid(), [name for name in os.listdir("/proc") if name.isdigit()]
links = sorted(name for _, name in socket.if_nameindex())
"""
        assert box.ask("cell", source, seconds=5) is None
        value = {name: box.ask("value", "", name, seconds=5)[1] for name in ("seen", "usr", "user", "pids", "links")}
    finally:
        box.close()
    assert value["usr"] in (1, 13, 30)
    assert value["user"] != 0
    assert len(value["pids"]) <= 3
    assert value["links"] in ([], ["lo"])
    roots = {Path(path).parts[1] for path in sandbox.mounted()} | {"workshop"}
    assert set(value["seen"]) <= roots


def test_nothing_of_the_repository_but_gradclinic_is_mounted():
    root = Path(__file__).parents[3]
    inside = [Path(path) for path in sandbox.mounted() if Path(path).is_relative_to(root)]
    assert all(path == root / "src" / "gradclinic" or ".venv" in path.parts or "venv" in path.name for path in inside)
    assert not any(root.is_relative_to(path) for path in sandbox.mounted())


def test_isolation_is_chosen_loudly(monkeypatch):
    monkeypatch.setattr(sandbox, "bubblewrap_options", lambda: "")
    sandbox.refusal.cache_clear()
    try:
        for wanted in ("auto", "bubblewrap"):
            with pytest.raises(SandboxError, match="--isolation process"):
                sandbox.choose(wanted)
        assert sandbox.choose("process") == ("process", "asked for")
    finally:
        sandbox.refusal.cache_clear()
    with pytest.raises(ValueError, match="isolation: got 'docker'"):
        sandbox.choose("docker")


def test_a_stopped_sandbox_answers_no_more():
    box = Sandbox("process", LIMITS)
    with pytest.raises(Stopped, match="ended its process"):
        box.ask("cell", "import os\nos._exit(1)", seconds=5)
    with pytest.raises(Stopped):
        box.ask("cell", "1", seconds=1)


def test_the_reference_earns_everything_and_names_are_derived():
    assert judge.grade(MASTER, ASSIGNMENT.reference(), seed=9, isolation="process").failed == set()
    assert ASSIGNMENT.names == {"centre": {"centre"}, "powers": {"powers"}, "limit": {"LIMIT"}, "line": {"Line"}}
    side = judge.trusted(ASSIGNMENT)
    assert side.values == {"LIMIT"}
    assert side.helpers == {"prediction"}


def cell_behind(source, place="found = centre", **sources):
    """Return a notebook with a code cell of the student's behind the one that holds `place`."""
    notebook = student(**sources)
    at = next(i for i, cell in enumerate(notebook["cells"]) if place in cell["source"])
    notebook["cells"].insert(at + 1, {"cell_type": "code", "metadata": {}, "source": source})
    return dump(notebook)


def test_checks_ask_at_their_place_so_that_a_name_may_be_used_again():
    found = judged(cell_behind("centre = centre(np.array([1.0, 2.0, 6.0]))\nprint(centre)"))
    assert (found.failed, found.status) == (set(), "ok")


def test_what_is_defined_behind_its_test_counts_all_the_same():
    late = cell_behind(RIGHT["centre"], centre=ASSIGNMENT.stubs["centre"])
    assert judged(late).failed == set()
    assert judged(last(RIGHT["powers"], powers=ASSIGNMENT.stubs["powers"])).failed == set()
    helped = last("def mean(x):\n    return x.mean()", centre=RIGHT["centre"].replace("np.sum(x) / x.size", "mean(x)"))
    assert judged(helped).failed == set()


def test_settings_left_changed_cost_nothing():
    leaves = """
    import torch, warnings
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.autograd.set_detect_anomaly(True)
    torch.use_deterministic_algorithms(True)
    torch.set_flush_denormal(True)
    np.seterr(all="raise")
    warnings.simplefilter("error")
    """
    powers = """
    import torch, warnings
    def powers(x, n):
        assert torch.is_grad_enabled() and torch.get_default_dtype() is torch.float32
        assert torch.ones(1).device.type == "cpu" and float(np.float64(1e-310) * 1.0) > 0
        assert not torch.is_anomaly_enabled() and not torch.are_deterministic_algorithms_enabled()
        np.log(np.zeros(1))
        warnings.warn("this is no error")
        torch.set_grad_enabled(False)
        return [x**i for i in range(1, n + 1)]
    """
    limits = replace(LIMITS, memory=4 * 2**30, call=20, cell=20, submission=90)
    assert judged(last(leaves, powers=powers), limits=limits).failed == set()


def test_what_a_cell_says_after_a_restart_reaches_nobody():
    """The first call dies; the notebook is started again and could tell what it has seen, if it kept it anywhere."""
    spy = """
    import os, pathlib
    kept = pathlib.Path(os.environ["WORKSHOP_SPY"]) if "WORKSHOP_SPY" in os.environ else pathlib.Path("/tmp/spy-x")
    def centre(x):
        kept.write_text(repr(x))
        os._exit(1)
    """
    tell = "if kept.exists(): raise KeyError(kept.read_text())"
    try:
        found = judged(last(tell, centre=spy))
    finally:
        Path("/tmp/spy-x").unlink(missing_ok=True)
    assert found.status == "review"
    assert found.skipped == []
    assert not any("array" in flag for flag in found.flags)


def test_marks_do_not_depend_on_what_the_judge_has_imported():
    answer = "import torch\ndef centre(x):\n    if len(x) == 0:\n        raise ValueError\n    x = torch.tensor(x)\n"
    limits = replace(LIMITS, memory=4 * 2**30, call=20, cell=20, submission=90)
    found = judged(written(centre=answer + "    return x - x.mean()"), limits=limits)
    assert found.failed == set()


def test_helpers_run_with_the_builtins_they_were_written_for():
    liar = """
    import builtins
    def compile(source, name, *rest, real=builtins.compile, **more):
        more_source = "\\ndef prediction(x): return 2 * x + 1\\n" if name == "<beside>" else ""
        return real(source + more_source if more_source else source, name, *rest, **more)
    builtins.compile = compile
    class Line:
        pass
    """
    assert judged(written(line=liar)).failed == {"line-fresh"}


def inside(source, name, limits=LIMITS, seconds=30):
    """Return what `name` is after a cell has run in a sandbox with walls."""
    box = Sandbox("bubblewrap", limits)
    try:
        assert box.ask("cell", source, seconds=seconds) is None
        return box.ask("value", "", name, seconds=seconds)[1]
    finally:
        box.close()


def test_system_calls_that_no_notebook_needs_are_refused(bubblewrap):
    source = """
import ctypes, errno, os, platform
libc = ctypes.CDLL(None, use_errno=True)
column = ["x86_64", "aarch64"].index(platform.machine())
def tried(number, *arguments):
    ctypes.set_errno(0)
    return libc.syscall(number, *arguments), ctypes.get_errno()
refused = {name: tried(number[column], 0, 0, 0, 0, 0) for name, number in CALLS.items() if number[column] is not None}
let = [name for name, said in refused.items() if said != (-1, errno.EPERM)]
user_namespace = tried([56, 220][column], 0x10000000 | 17, 0, 0, 0, 0)
ordinary = os.fork()
if ordinary == 0:
    os._exit(0)
os.waitpid(ordinary, 0)
import threading
thread = threading.Thread(target=int)
thread.start()
thread.join()
found = [let, user_namespace[1] == errno.EPERM, ordinary > 0]
"""
    if not seccomp.program():
        pytest.skip("no numbers of system calls for this machine")
    assert inside(f"CALLS = {seccomp.REFUSED!r}" + source, "found") == [[], True, True]


def test_the_filter_is_a_program_of_classic_bpf():
    for machine in seccomp.ARCHITECTURES:
        code = seccomp.program(machine)
        steps = [code[at : at + 8] for at in range(0, len(code), 8)]
        assert len(code) % 8 == 0
        assert len(steps) < 256
        for at, step in enumerate(steps):
            if step[0] in (seccomp.EQUAL, seccomp.AT_LEAST, seccomp.ANY_BIT):
                assert at + 1 + max(step[2], step[3]) < len(steps)
        assert steps[-1][0] == seccomp.RETURN
    assert seccomp.program("riscv64") == b""


def test_every_sandbox_has_a_user_of_its_own(bubblewrap):
    if not sandbox.as_root():
        pytest.skip("an ordinary user's sandboxes have a user namespace each")
    boxes = [Sandbox("bubblewrap", LIMITS) for _ in range(2)]
    try:
        for box in boxes:
            assert box.ask("cell", "import os\nuser = os.getuid()", seconds=30) is None
        users = [box.ask("value", "", "user", seconds=30)[1] for box in boxes]
    finally:
        for box in boxes:
            box.close()
    assert len(set(users)) == 2
    assert all(user in sandbox.USERS for user in users)


def test_a_checkout_below_usr_is_covered_up(monkeypatch, tmp_path):
    checkout = Path("/usr/local/src/course")
    monkeypatch.setattr(sandbox, "HERE", checkout / "src/workshop/grading")
    monkeypatch.setattr(Path, "is_file", lambda path: path == checkout / "pyproject.toml")
    monkeypatch.setattr(sandbox, "package", lambda: str(checkout / "src/gradclinic"))
    command = sandbox.bubblewrap_command(LIMITS, root=False)
    places = [command[at - 1] if word == str(checkout) else word for at, word in enumerate(command)]
    covered = places.index("--tmpfs", command.index("/usr"))
    assert command[command.index(str(checkout)) - 1] == "--tmpfs"
    shown = command.index(str(checkout / "src/gradclinic"), covered)
    assert command.index(str(checkout)) < shown
    assert command[shown - 1] in {"--ro-bind", "--dir"}


def test_a_module_written_by_the_notebook_can_be_imported():
    writes = "%%writefile own_module.py\ndef halved(x):\n    return x / 2"
    uses = "from own_module import halved\nassert halved(4) == 2"
    notebook = student()
    cells = [{"cell_type": "code", "metadata": {}, "source": source} for source in (writes, uses)]
    found = judged(dump(notebook | {"cells": [*notebook["cells"], *cells]}))
    assert (found.failed, found.skipped) == (set(), [])
