"""The process that runs a student's code, and the walls around it.

`bubblewrap`: no network, a read-only system without anybody's files, a private temporary folder, a process space that
dies as a whole, a user and a keyring of its own, and a filter on system calls (`seccomp`). `process`, only where it is
asked for by name: a process with limits, no more; it can read what the grader can read, and reach the network.
`Limits` hold for both.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import glob
import importlib.util
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workshop.environment import ENVIRONMENT
from workshop.grading import seccomp, wire
from workshop.grading.channel import Broken, Channel, KeptWaiting

HERE = Path(__file__).resolve().parent
ISOLATIONS = ("bubblewrap", "process")
SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime")


STARTED = Path.cwd().resolve()
"""A judge works in another folder while it runs a check that reads files."""


class SandboxError(Exception):
    """The sandbox itself does not work: nobody's fault but the installation's, so never a zero."""


class Stopped(BaseException):
    """The student's process ended or was ended; its text says why. Not an Exception: no check can swallow it."""


@dataclass(frozen=True)
class Limits:
    """What one submission may use: seconds of waiting, bytes, processes."""

    cell: float = 60.0
    call: float = 20.0
    submission: float = 300.0
    start: float = 60.0
    memory: int = 4 * 2**30
    file: int = 256 * 2**20
    processes: int = 64
    descriptors: int = 256
    frame: int = wire.FRAME


def environment(home: str) -> dict[str, str]:
    """Return the environment of the student's process: a recorded chapter's and a home, nothing of the grader's."""
    wanted = ENVIRONMENT | {"MPLBACKEND": "agg", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "dumb"}
    places = {"HOME": home, "TMPDIR": home, "TEMP": home, "TMP": home, "IPYTHONDIR": home, "MPLCONFIGDIR": home}
    if system_root := os.environ.get("SYSTEMROOT"):  # Windows starts no Python without it
        places["SYSTEMROOT"] = system_root
    return wanted | places | {"USER": "student", "LOGNAME": "student"}


@functools.cache
def bubblewrap_options() -> str:
    """Return what the installed bubblewrap says it can do; empty where there is none."""
    if not (program := shutil.which("bwrap")):
        return ""
    return subprocess.run([program, "--help"], capture_output=True, text=True, check=False).stdout


def package() -> str:
    """Return the folder of the course's package, "" where there is none."""
    found = importlib.util.find_spec("gradclinic")
    return os.path.dirname(found.origin) if found and found.origin else ""


def mounted() -> list[str]:
    """Return the folders the student's Python needs, parents first; the masters are in none of them."""
    folders = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    if package():
        folders.add(package())
    folders |= {os.path.realpath(folder) for folder in folders}
    shown = [folder for folder in folders if folder not in {"/usr", "/"}]
    return sorted(folder for folder in shown if not below(folder, ["/usr"]) or below(folder, hidden()))


def hidden() -> list[str]:
    """Return the checkouts that stand below a folder every sandbox sees, `/usr`: they are covered up there."""
    places = {HERE.parents[2], STARTED, Path.cwd().resolve()}
    return sorted(
        str(place) for place in places if below(str(place), ["/usr"]) and (place / "pyproject.toml").is_file()
    )


def below(path: str, folders: list[str]) -> bool:
    """Whether a path is one of the folders or stands in one."""
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


FORKING = ("CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SETPCAP")
"""What a process needs to put walls around those it forks; it runs no student's code, and they have none of it."""


def bubblewrap_command(limits: Limits, *, root: bool, forks: bool = False) -> list[str]:
    """Return the command before `python`; root: without a user namespace, for a worker that gives up root itself.

    forks: for a process that forks workers and walls each of them in (`forks.py`).
    """
    known = bubblewrap_options()
    command = [
        shutil.which("bwrap") or "bwrap",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        "--cap-drop",
        "ALL",
    ]
    if root:
        # Root keeps no process limit, not even as uid 65534 of a user namespace: only a real change of user does.
        command += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        for capability in ("CAP_SETUID", "CAP_SETGID", *(FORKING if forks else ())):
            command += ["--cap-add", capability]
    else:
        command += ["--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534"]
        command += ["--disable-userns"] if "--disable-userns" in known and not forks else []
    command += ["--hostname", "grading", "--ro-bind", "/usr", "/usr"]
    for path in SYSTEM:
        if os.path.islink(path):
            command += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            command += ["--ro-bind", path, path]
    for path in SYSTEM_FILES:
        command += ["--ro-bind-try", path, path]
    command += ["--proc", "/proc", "--dev", "/dev"]
    size = ["--size", str(limits.memory // 4)] if "--size" in known else []
    # A tmpfs must come before a bind below it, or it hides the bind.
    for path in ("/tmp", "/dev/shm"):
        command += ["--perms", "1777", *size, "--tmpfs", path]
    for path in hidden():
        command += ["--perms", "0755", *size, "--tmpfs", path]
    # bubblewrap makes the parents of a mount readable for itself alone.
    parents = {str(parent) for path in (*mounted(), "/workshop/worker.py") for parent in Path(path).parents}
    parents = {path for path in parents if not below(path, ["/usr"]) or below(path, hidden())}
    for path in sorted(parents - {"/", "/tmp", *hidden()}):
        command += ["--perms", "0755", "--dir", path]
    for path in mounted():
        command += ["--ro-bind", path, path]
    for name in ("worker.py", "wire.py", *(["forks.py"] if forks else [])):
        command += ["--ro-bind", str(HERE / name), f"/workshop/{name}"]
    command += ["--perms", "1777", "--dir", "/tmp/home"]
    for path in fonts():
        command += ["--ro-bind", path, f"/tmp/home/{os.path.basename(path)}"]
    command += ["--remount-ro", "/", "--remount-ro", "/dev", "--chdir", "/tmp/home"]
    for name, value in environment("/tmp/home").items():
        command += ["--setenv", name, value]
    return command


def fonts() -> list[str]:
    """Return Matplotlib's list of fonts, if this user has one: making it takes longer than most submissions."""
    folder = os.environ.get("MPLCONFIGDIR") or os.path.expanduser("~/.cache/matplotlib")
    return glob.glob(os.path.join(glob.escape(folder), "fontlist-*.json"))


@functools.cache
def refusal(*, root: bool) -> str:
    """Return why bubblewrap does not work here, "" where it does."""
    if not sys.platform.startswith("linux"):
        return f"bubblewrap needs Linux, this is {sys.platform}"
    if not bubblewrap_options():
        return "bubblewrap is not installed (Debian, Ubuntu: apt install bubblewrap)"
    command = [*bubblewrap_command(Limits(), root=root)]
    try:
        with filtered(command) as descriptors:
            run = subprocess.run(
                [*command, sys.executable, "-I", "-c", "print(1)"],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                pass_fds=descriptors,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not start: {error}"
    return "" if run.returncode == 0 else f"bubblewrap does not start: {run.stderr.strip()[-500:] or run.returncode}"


@contextlib.contextmanager
def filtered(command: list[str]) -> Iterator[tuple[int, ...]]:
    """Add the filter on system calls to a command of bubblewrap's; yield the descriptors it must inherit."""
    if not (program := seccomp.program()):
        yield ()
        return
    out, into = os.pipe()
    try:
        os.write(into, program)  # a page or less, so it fits into the pipe
        os.close(into)
        command += ["--seccomp", str(out)]
        yield (out,)
    finally:
        os.close(out)


JOIN_SESSION_KEYRING = 1


def new_keyring() -> None:
    """Give this thread, and what it starts from now on, a session keyring of its own; where there is none, nothing."""
    if number := {"x86_64": 250, "aarch64": 219}.get(platform.machine() if sys.platform == "linux" else ""):
        ctypes.CDLL(None).syscall(number, JOIN_SESSION_KEYRING, None)


USERS = range(60_000, 65_000)


def own_user() -> tuple[int, int]:
    """Return the number of a user that no other sandbox of this machine has, and the descriptor that keeps it.

    The kernel limits the processes of a user, not of a sandbox: with one user in two sandboxes a fork bomb in one
    leaves no process for the other. A lock is held as long as the sandbox lives; a killed judge leaves none.
    """
    import fcntl

    folder = "/run/workshop-grading" if os.access("/run", os.W_OK) else "/tmp/workshop-grading"
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    if os.lstat(folder).st_uid != 0 or os.path.islink(folder):
        raise SandboxError(f"{folder} belongs to somebody else; remove it")
    first = random.randrange(len(USERS))
    for step in range(len(USERS)):
        user = USERS[(first + step) % len(USERS)]
        lock = os.open(f"{folder}/{user}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return user, lock
        except OSError:
            os.close(lock)
    raise SandboxError(f"{len(USERS)} sandboxes run at the same time")


def as_root() -> bool:
    """Whether the grader is root and bubblewrap can do without a user namespace."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and not refusal(root=True)


def choose(isolation: str = "auto") -> tuple[str, str]:
    """Return the isolation to use and, where it is not the best one, why.

    SandboxError where bubblewrap does not work and `process` was not asked for by name: students' code would read what
    the grader can read.
    """
    if isolation not in ("auto", *ISOLATIONS):
        raise ValueError(f"isolation: got {isolation!r}, wanted auto or one of {', '.join(ISOLATIONS)}")
    if isolation == "process":
        return "process", "asked for"
    why = "" if as_root() else refusal(root=False)
    if not why:
        return "bubblewrap", ""
    raise SandboxError(f"{why}; to grade without walls all the same: --isolation process")


def descendants(pid: int) -> list[int]:
    """Return the processes below `pid`, as far as /proc tells."""
    found, waiting = [], [pid]
    while waiting:
        for path in glob.glob(f"/proc/{waiting.pop()}/task/*/children"):
            with contextlib.suppress(OSError, ValueError), open(path) as file:
                children = [int(child) for child in file.read().split()]
                found += children
                waiting += children
    return found


def resident(pids: list[int]) -> int:
    """Return the memory that processes hold, in bytes; shared pages are counted once for each, files are not.

    Memory that is shared but no file's belongs to nobody else: left out, eight processes hold eight times the limit.
    """
    kilobytes = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/status") as file:
            lines = [line.split() for line in file if line.startswith(("RssAnon:", "RssShmem:"))]
            kilobytes += sum(int(line[1]) for line in lines)
    return kilobytes * 1024


def end(process: subprocess.Popen) -> None:
    """End a process that leads its session, and all below it.

    bubblewrap's inner process is the init of its sandbox: with it the kernel ends all others there, detached ones too.
    """
    below = descendants(process.pid)
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
    for pid in below:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


class Sandbox:
    """One student's process: started at once, asked over its pipe, ended by `close` with all it has started."""

    def __init__(self, isolation: str, limits: Limits) -> None:
        """Start the process and wait until it answers; SandboxError where it does not."""
        self.limits, self.isolation = limits, isolation
        self.home = self.said = ""
        self.lock: int | None = None
        self.spared = 0
        settings: dict[str, Any] = {
            "memory": limits.memory,
            "cpu": int(limits.submission) + 10,
            "file": limits.file,
            "frame": limits.frame,
            "processes": limits.processes,
            "descriptors": limits.descriptors,
            "path": [os.path.dirname(package())] if package() else [],
        }
        try:
            self.process: Any = self.start(settings)
        except OSError as error:
            remove(self.home)
            self.unlock()
            raise SandboxError(f"the sandbox does not start: {error}") from error
        self.number = 0
        self.channel = Channel(self.process, limits.frame)
        self.kept = KeptWaiting(self.processes)
        try:
            reply = self.wait(wire.pack(settings), limits.start)
        except Stopped as error:
            raise SandboxError(f"the sandbox does not start: {self.said or error}") from error
        if reply != "ready":
            self.close()
            raise SandboxError("the sandbox does not start: its first words are wrong")

    def start(self, settings: dict[str, Any]) -> Any:
        """Start the process with its three pipes; add to its settings what depends on the isolation."""
        if self.isolation == "bubblewrap":
            root = as_root()
            command = bubblewrap_command(self.limits, root=root)
            program = [sys.executable, "-I", "/workshop/worker.py"]
            variables, place, walls = None, None, filtered(command)
            if root:
                settings["user"], self.lock = own_user()
            new_keyring()
        else:
            self.home = tempfile.mkdtemp(prefix="workshop-student-")
            for path in fonts():
                shutil.copy(path, self.home)
            command: list[str] = []
            program = [sys.executable, "-I", str(HERE / "worker.py")]
            variables, place, walls = environment(self.home), self.home, contextlib.nullcontext(())
            settings["processes"] = self.limits.processes + user_processes()
        with walls as descriptors:
            return subprocess.Popen(
                [*command, *program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=variables,
                cwd=place,
                start_new_session=True,
                pass_fds=descriptors,
            )

    def wait(self, frame: bytes, seconds: float) -> Any:
        """Send a frame; return what the reply to it says; end the process and raise Stopped where none comes."""
        try:
            number, reply = wire.unpack(self.channel.ask(frame, seconds, self.excess, self.kept.since))
        except Broken as error:
            self.close()
            raise Stopped(str(error)) from None
        except (wire.WireError, TypeError, ValueError):
            number, reply = None, None
        if type(number) is not int or number != self.number:
            self.close()
            raise Stopped("wrote to the judge's pipe")
        return reply

    def processes(self) -> list[int]:
        """Return the student's processes."""
        return [self.process.pid, *descendants(self.process.pid)]

    @property
    def granted(self) -> float:
        """The seconds that a busy machine has kept the student's processes waiting; they are not the student's."""
        return self.channel.granted

    def excess(self) -> str:
        """Return what the student's processes have too much of."""
        _, *pids = everyone = self.processes()
        if len(pids) > self.limits.processes + 8:  # the kernel's own limit comes first, where it counts
            return f"started more than {self.limits.processes} processes"
        if resident(everyone) > self.limits.memory + self.spared:
            return f"used more than {self.limits.memory / 2**30:.3g} GB of memory"
        return ""

    def ask(self, *request: Any, seconds: float) -> Any:
        """Send one request; return its reply, still as data for JSON."""
        self.number += 1
        return self.wait(wire.pack([self.number, *request]), seconds)

    def close(self) -> None:
        """End the process and everything it has started; leave no file."""
        if self.process.stderr.closed:
            return
        self.end()
        self.channel.close()
        with self.process.stderr as said:  # what was said before the first cell; later nobody has this pipe
            self.said = self.said or said.read().decode(errors="replace").strip()[-1000:]
        remove(self.home)
        self.unlock()

    def end(self) -> None:
        """End the process and everything it has started."""
        end(self.process)

    def unlock(self) -> None:
        """Leave this sandbox's user to another one."""
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


def remove(folder: str) -> None:
    """Remove a private folder, also what a student made unreadable in it; none where it is "" or gone."""

    def insist(function: Any, path: str, _: object) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(path), 0o700)
            os.chmod(path, 0o700)
            function(path)

    if folder and os.path.isdir(folder):
        shutil.rmtree(folder, onerror=insist)


def user_processes() -> int:
    """Return how many threads the grader's user runs now: without a sandbox the limit counts these too."""
    count = 0
    for path in glob.glob("/proc/[0-9]*/task"):
        with contextlib.suppress(OSError):
            if os.stat(path).st_uid == os.getuid():
                count += len(os.listdir(path))
    return count
