"""Forked sandboxes: marks are those of a process of one's own, and no fork learns of another or harms it.

Run as root they look at forks that have a user each, run by anybody else at forks that have a user namespace each.
"""

import mmap
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import test_judge
from corpus import ASSIGNMENT, CASES, LIMITS, MASTER, last, written

from workshop.grading import forks, judge, nursery, sandbox, seccomp
from workshop.grading.grade import Work
from workshop.grading.intake import read_notebook
from workshop.grading.sandbox import Limits, Sandbox, Stopped

pytestmark = pytest.mark.usefixtures("bubblewrap")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No nursery before a test and none after it."""
    nursery.dismiss()
    monkeypatch.setattr(nursery, "REFUSED", [])
    yield
    nursery.dismiss()


@pytest.fixture
def user():
    """Who runs the tests: as root forks get a user each, an ordinary user's get a user namespace each.

    Skips where this machine refuses an ordinary user a namespace within bubblewrap's; it forks nothing, and says so.
    """
    box = nursery.start("bubblewrap", LIMITS, ())
    box.close()
    if not sandbox.as_root() and (why := nursery.refusal()):
        pytest.skip(why)
    return "root" if sandbox.as_root() else "ordinary user"


def fork(limits=LIMITS, modules=()):
    box = nursery.start("bubblewrap", limits, modules)
    if type(box) is not nursery.Forked:
        box.close()
        pytest.fail(nursery.refusal())
    return box


def run(box, source, *names):
    """Return what names are after a cell has run; the cell may not raise."""
    assert box.ask("cell", source, seconds=30) is None
    found = [box.ask("value", "", name, seconds=30)[1] for name in names]
    return found[0] if len(names) == 1 else found


def in_a_fork(source, *names, **options):
    box = fork(**options)
    try:
        return run(box, source, *names)
    finally:
        box.close()


# ---- marks ----

SAMPLE = [
    "right",
    "untouched",
    "metadata_lost",
    "timed_and_ids_lost",
    "module_written_by_the_notebook",
    "settings_left_changed",
    "table_of_pandas",
    "keeps_it_in_the_keyring",
    "is_somebody_else",
    "forges_frames_ahead",
    "speaks_the_wire_badly",
    "exits_in_a_cell",
]


@pytest.mark.parametrize("name", SAMPLE)
def test_the_same_judgement_both_ways(name):
    data = next(iter(CASES[name].files.values()))
    found = [
        judge.grade(MASTER, read_notebook(data), seed=5, isolation="bubblewrap", limits=LIMITS, alone=alone).to_dict()
        for alone in (False, True)
    ]
    for judgement in found:
        assert judgement.pop("unforked") == ""
        del judgement["seconds"]
    assert found[0] == found[1]
    assert {check for check, item in found[0]["items"].items() if item["points"] < item["max_points"]} == CASES[
        name
    ].lost


@pytest.mark.parametrize(
    "test",
    [
        test_judge.test_bubblewrap_shows_the_system_read_only_and_nobody_elses_files,
        test_judge.test_system_calls_that_no_notebook_needs_are_refused,
        test_judge.test_every_sandbox_has_a_user_of_its_own,
    ],
    ids=lambda test: test.__name__,
)
def test_the_tests_of_isolation_hold_for_forks(test, user, monkeypatch):
    made = []

    def start(isolation, limits):
        made.append(nursery.start(isolation, limits, ()))
        return made[-1]

    monkeypatch.setattr(test_judge, "Sandbox", start)
    test(None)
    assert type(made[0]) is nursery.Forked


# ---- what one could leave for the next ----

LEAVES = """
import builtins, json, os, random, socket, subprocess, sys, tempfile
import numpy as np
mark = "left by the one before"
builtins.left = sys.left = json.left = np.left = sys.modules["wire"].left = sys.modules["__main__"].left = mark
sys.modules["left"] = sys
os.environ["LEFT"] = mark
os.umask(0)
for folder in ("/tmp", "/tmp/home", "/dev/shm", "/var/tmp", "/workshop", "/usr/lib", "/dev", "/", "/etc", "/run"):
    try:
        open(os.path.join(folder, "left"), "w").write(mark)
    except OSError:
        pass
server = socket.socket()
server.bind(("127.0.0.1", 40404))
server.listen()
client = socket.create_connection(("127.0.0.1", 40404))
accepted = server.accept()[0]
accepted.close()  # waits in the kernel for a minute after its end
client.close()
abstract = socket.socket(socket.AF_UNIX)
abstract.bind("\\0left")
abstract.listen()
terminal = os.openpty()
if os.fork() == 0:
    os.setsid()
    import time
    time.sleep(300)
"""

LOOKS = """
import builtins, json, os, socket, sys
import numpy as np
modules = [json, np, sys, builtins, sys.modules["wire"], sys.modules["__main__"]]
globals_left = [module.__name__ for module in modules if hasattr(module, "left")]
if "left" in sys.modules: globals_left.append("sys.modules")
environment = [name for name, value in os.environ.items() if "left" in (name + value).lower()]
known = [("/tmp", "home")]
files = []
for folder in ("/tmp", "/tmp/home", "/dev/shm", "/dev", "/", "/usr/lib"):
    new = [name for name in os.listdir(folder) if (folder, name) not in known]
    files += [os.path.join(folder, name) for name in new if "left" in name or folder in ("/dev/shm", "/tmp")]
files += [f for f in ("/etc/left", "/var/tmp/left", "/workshop/left", "/run/left") if os.path.exists(f)]
processes = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
connections = [line for name in ("tcp", "tcp6") for line in open(f"/proc/net/{name}").read().splitlines()[1:]]
sockets = [line for line in open("/proc/net/unix").read().splitlines() if "left" in line]
terminals = os.listdir("/dev/pts")
umask = os.umask(0o22)
"""


def test_nothing_is_left_for_the_next(user):
    box = fork()
    try:
        assert run(box, LEAVES, "mark") == "left by the one before"
        left = [box.ask("value", "", name, seconds=30)[0] for name in ("client", "abstract", "terminal")]
        server = nursery.KEPT[0].own
    finally:
        box.close()
    assert left == ["refused", "refused", "value"]  # it did what it set out to do
    names = "globals_left", "environment", "files", "processes", "connections", "sockets", "terminals", "umask"
    found = dict(zip(names, in_a_fork(LOOKS, *names), strict=True))
    nothing = {name: [] for name in names[:7]} | {"processes": [1, 2], "terminals": ["ptmx"]}
    assert found == nothing | {"umask": found["umask"]}
    assert found["umask"] != 0
    assert nursery.KEPT[0].own == server, "both came from the same process"


def test_memory_is_a_copy(user):
    """The same object at the same address, changed in one fork through its address, is as it was in the next."""
    change = """
import ctypes, json
place = id(json.JSONDecodeError.__doc__)
was = ctypes.string_at(place + 48, 8).decode("latin-1")
ctypes.memset(place + 48, 33, 8)
now = ctypes.string_at(place + 48, 8).decode("latin-1")
"""
    places, before, after = zip(*(in_a_fork(change, "place", "was", "now") for _ in range(2)), strict=True)
    assert places[0] == places[1]
    assert before[0] == before[1] != "!" * 8
    assert after == ("!" * 8, "!" * 8)


def test_a_fork_sees_no_process_but_its_own_and_reads_nothing_of_the_first(user):
    looks = """
import os
processes = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
parent = os.getppid()
readable = []
for name in ("mem", "environ", "maps", "auxv", "stack", "syscall"):
    try:
        with open(f"/proc/1/{name}", "rb") as file:
            if name != "mem" or file.seek(0x10000) and file.read(1):
                readable.append(name)
    except OSError:
        pass
for name in ("cwd", "root", "exe", "ns/mnt"):
    try:
        readable.append(os.readlink(f"/proc/1/{name}"))
    except OSError:
        pass
for name in ("fd", "map_files"):
    try:
        readable += os.listdir(f"/proc/1/{name}")
    except OSError:
        pass
"""
    assert in_a_fork(looks, "processes", "parent", "readable") == [[1, 2], 1, []]


def test_a_fork_has_its_pipes_and_nothing_else_open(user):
    looks = """
import os
open_here = {}
for name in os.listdir("/proc/self/fd"):
    try:
        open_here[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        pass
kinds = sorted(target.partition(":")[0] for target in open_here.values())
"""
    kinds = in_a_fork(looks, "kinds")
    assert (set(kinds), kinds.count("pipe")) == ({"/dev/null", "pipe"}, 2)


def test_environment_and_arguments_tell_nothing_of_the_grader(user, monkeypatch):
    monkeypatch.setenv("WORKSHOP_SECRET", "not for students")
    looks = "import os, sys\nenvironment = dict(os.environ)\narguments = sys.argv\nmemory = []"
    environment, arguments, _ = in_a_fork(looks, "environment", "arguments", "memory")
    names = {name for name, _ in environment["dict"]}
    assert names <= set(sandbox.environment("/tmp/home")) | {"PWD", "LC_CTYPE"}
    assert arguments == ["/workshop/worker.py"]


def test_a_fork_harms_neither_the_first_process_nor_the_one_it_came_from(user):
    kills = """
import os, signal
refused = []
for number in range(1, 65):
    for process in (1, os.getppid()):
        try:
            os.kill(process, number)
        except OSError:
            refused.append(number)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
try:
    os.kill(-1, signal.SIGTERM)
except OSError:
    pass
try:
    os.killpg(0, signal.SIGTERM)
except OSError:
    pass
alive = True
"""
    box = fork()
    try:
        server = nursery.KEPT[0].own
        assert run(box, kills, "alive") is True
        assert run(box, "still = 1 + 1", "still") == 2
    finally:
        box.close()
    assert in_a_fork("there = 1", "there") == 1
    assert nursery.KEPT[0].own == server


def test_no_wall_can_be_taken_down(user):
    tries = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def fails(name, *arguments):
    ctypes.set_errno(0)
    return getattr(libc, name)(*arguments) == -1
held = {
    "umount": fails("umount2", b"/tmp", 2),
    "remount": fails("mount", b"none", b"/usr", None, 32 | 4096, None),
    "chroot": fails("chroot", b"/tmp"),
    "unshare": fails("unshare", 0x10000000),
    "hostname": fails("sethostname", b"x", 1),
    "root": fails("setuid", 0),
    "keyring": fails("syscall", {"x86_64": 250, "aarch64": 219}[os.uname().machine], 0, -3, 1),
}
for path in ("/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/1/oom_score_adj", "/proc/self/uid_map"):
    try:
        with open(path, "w") as file:
            file.write("0 0 1")
        held[path] = False
    except OSError:
        held[path] = True
fell = [name for name, stands in held.items() if not stands]
lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
able = [lines[f"Cap{kind}"].strip("\\t\\n0") for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")]
writable = sorted(line.split()[4] for line in open("/proc/self/mountinfo") if "ro" not in line.split()[5].split(","))
"""
    assert in_a_fork(tries, "fell", "able", "writable") == [[], [""] * 5, sorted(forks.FRESH)]


def test_a_session_keyring_of_ones_own(user):
    looks = "import os\nkeys = open('/proc/keys').read() if os.path.exists('/proc/keys') else ''"
    found = [in_a_fork(looks, "keys") for _ in range(2)]
    sessions = [{line.split()[0] for line in text.splitlines() if " _ses" in line} for text in found]
    if not any(sessions):
        pytest.skip("this kernel does not list keys")
    # An ordinary user's processes also see that the grader has one; none may be used (`missing`).
    assert sessions[0] - sessions[1]
    assert sessions[1] - sessions[0]
    assert all(line.endswith("empty") for text in found for line in text.splitlines() if " _ses" in line)


def test_limits_hold_in_a_fork(user):
    looks = """
import resource
names = ["CPU", "FSIZE", "NPROC", "CORE", "AS"]
limits = [resource.getrlimit(getattr(resource, "RLIMIT_" + name))[0] for name in names]
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
"""
    limits, used = in_a_fork(looks, "limits", "used")
    assert limits[:4] == [int(LIMITS.submission) + 10, LIMITS.file, LIMITS.processes, 0]
    assert LIMITS.memory < limits[4] <= LIMITS.memory + used


def test_frameworks_are_ready_and_generators_seeded_afresh(user):
    """Both compute after the fork, none before it; nobody draws the numbers of another."""
    limits = Limits(cell=60, call=60, start=60, memory=4 * 2**30)
    draws = """
import random, sys, time
start = time.process_time()
loaded = "torch" in sys.modules and "tensorflow" in sys.modules
import numpy as np, tensorflow as tf, torch
drawn = [random.random(), float(np.random.random()), float(torch.rand(1)), float(tf.random.uniform([1])[0])]
x = torch.ones(3, requires_grad=True)
(x**2).sum().backward()
y = tf.Variable(tf.ones(3))
with tf.GradientTape() as tape:
    z = tf.reduce_sum(y**2)
same = [float(x.grad.sum()), float(tf.reduce_sum(tape.gradient(z, y)))]
took = time.process_time() - start
"""
    names = "loaded", "drawn", "same", "took"
    first, second = (in_a_fork(draws, *names, limits=limits, modules=nursery.FRAMEWORKS) for _ in range(2))
    for loaded, _, same, took in (first, second):
        assert loaded
        assert same == [6.0, 6.0]
        assert took < 2, "imported before"
    assert all(one != other for one, other in zip(first[1], second[1], strict=True))


# ---- one at a time, discarded, refused ----


def test_one_at_a_time():
    first = fork()
    second = nursery.start("bubblewrap", LIMITS, ())
    try:
        assert type(second) is Sandbox
        assert run(second, "x = 1", "x") == run(first, "x = 1", "x") == 1
    finally:
        first.close()
        second.close()
    assert in_a_fork("x = 1", "x") == 1


def test_a_submission_without_fault_leaves_the_nursery_and_its_processes_as_they_were():
    judge.grade(MASTER, read_notebook(written()), seed=1, isolation="bubblewrap", limits=LIMITS)
    [kept] = nursery.KEPT
    own, threads = list(kept.own), len(os.listdir(f"/proc/{kept.own[-1]}/task"))
    judge.grade(MASTER, read_notebook(written()), seed=1, isolation="bubblewrap", limits=LIMITS)
    assert [kept] == nursery.KEPT
    assert [kept.process.pid, *sandbox.descendants(kept.process.pid)] == own
    assert threads == 1
    assert nursery.spared() == set(own)


@pytest.mark.parametrize("name", ["exits_in_a_cell", "forges_one_frame", "picture_left_at_home"])
def test_after_a_review_the_nursery_is_discarded(name):
    fork().close()
    [kept] = nursery.KEPT
    data = CASES[name].files["tiny.ipynb"]
    found = judge.grade(MASTER, read_notebook(data), seed=1, isolation="bubblewrap", limits=LIMITS)
    assert found.status == "review"
    assert not kept.alive
    assert kept not in nursery.KEPT
    assert not any(runs(pid) for pid in kept.own)


def runs(pid):
    """Tell whether a process has not ended; its parent may be slow to bury it."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_process_that_runs_is_told_from_one_that_has_ended():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert runs(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and not buried
    assert os.path.exists(f"/proc/{child.pid}")
    assert not runs(child.pid)
    child.communicate()
    assert not runs(child.pid)


def test_who_has_ended_a_fork_gets_no_other_one(monkeypatch):
    asked = []
    start = nursery.start

    def spy(isolation, limits, modules):
        asked.append(modules)
        return start(isolation, limits, modules)

    monkeypatch.setattr(nursery, "start", spy)
    data = CASES["exits_in_a_cell"].files["tiny.ipynb"]
    judge.grade(MASTER, read_notebook(data), seed=1, isolation="bubblewrap", limits=LIMITS)
    assert asked[0] == ("numpy",)
    assert set(asked[1:]) == {None}


def test_a_notebook_that_sets_variables_gets_a_process_of_its_own(monkeypatch):
    asked = []
    start = nursery.start
    monkeypatch.setattr(nursery, "start", lambda *rest: asked.append(rest[2]) or start(*rest))
    sets = last("import os\nos.environ['KERAS_BACKEND'] = 'torch'")
    found = judge.grade(MASTER, read_notebook(sets), seed=1, isolation="bubblewrap", limits=LIMITS)
    assert (asked, found.failed, found.unforked) == ([None], set(), "")


def test_a_killed_nursery_ends_its_fork_and_is_replaced():
    box = fork()
    [kept] = nursery.KEPT
    os.kill(kept.own[-1], signal.SIGKILL)
    with pytest.raises(Stopped):
        box.ask("cell", "import time\ntime.sleep(20)", seconds=20)
    until = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in kept.own) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in kept.own)
    box.close()
    assert in_a_fork("x = 1", "x") == 1
    assert [kept] != nursery.KEPT


def judged_without(why):
    """Judge the right answers; they earn everything although nothing was forked, and it is said why."""
    found = judge.grade(MASTER, read_notebook(written()), seed=1, isolation="bubblewrap", limits=LIMITS)
    assert found.failed == set()
    assert why in found.unforked
    assert nursery.KEPT == []


def test_where_a_wall_cannot_be_built_nothing_is_forked(user, monkeypatch):
    nursery.dismiss()
    if user != "root":
        pytest.skip("an ordinary user's sandbox has no capability that could be left out")
    monkeypatch.setattr(sandbox, "FORKING", ())
    judged_without("unshare")


def test_without_a_filter_for_this_processor_nothing_is_forked(monkeypatch):
    monkeypatch.setattr(seccomp, "program", lambda: b"")
    judged_without("no filter on system calls")


@pytest.mark.parametrize("wall", ["obey", "give_up", "reseed"])
def test_a_fork_without_a_wall_refuses_to_be_one(wall, user, monkeypatch, tmp_path):
    """The worker looks for itself; what it would do if its tools had done nothing is tried here."""
    for name in ("worker.py", "wire.py", "forks.py"):
        text = (sandbox.HERE / name).read_text(encoding="utf-8")
        if name == "forks.py":
            assert text.count(f"\ndef {wall}(") == 1
            text += f"\n\ndef {wall}(*_):\n    return None\n"  # the later definition counts
        (tmp_path / name).write_text(text, encoding="utf-8")
    nursery.dismiss()
    monkeypatch.setattr(sandbox, "HERE", tmp_path)
    if wall == "reseed":  # no wall: the fork is one, so the test would have noticed
        fork().close()
    else:
        judged_without("Unsound")


def test_a_second_thread_or_shared_memory_forbids_a_fork():
    shared = mmap.mmap(-1, 4096)
    try:
        assert "/dev/zero" in str(forks.shared_mappings())
    finally:
        shared.close()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert "threads run after the imports" in forks.unfit()
    finally:
        stop.set()
        thread.join()


def test_this_process_has_no_walls_and_is_told_so():
    assert forks.missing(None, forks.spaces()) != ""


def test_what_is_imported_once_is_what_the_master_imports():
    assert nursery.frameworks(["import numpy as np\nfrom torch import nn"]) == ("numpy", "torch")
    assert nursery.frameworks(["def f():\n    import tensorflow as tf"]) == ("tensorflow",)
    assert "tensorflow" in nursery.frameworks(["from gradclinic.tf_net import tf"])
    assert nursery.frameworks(["%matplotlib inline\nprint(1)", "import json"]) == ()
    assert nursery.frameworks(["import own_torch, torch_own"]) == ()


def test_the_teacher_is_told_once_that_nothing_is_forked(capsys):
    work = Work(ASSIGNMENT, None, {}, {}, False)
    for why in ("", "no filter", "no filter"):
        work.tell(why)
    said = capsys.readouterr().err
    assert said.count("no filter") == said.count("\n") == 1
