"""Inside the sandbox: imports the frameworks once, then forks a worker for each submission (`worker.py forks FD`).

    judge ── bubblewrap ── this process: imports, nothing else; no student's code, no check, no answer
                             └─ init of the worker's process space: waits, no privileges
                                  └─ worker: one submission

What a forked worker is held by is made anew for each, by its first processes, before it reads its first frame:

- namespaces of its own for processes, mounts, IPC, the network and the host's name. As root it gets a user that no
  other sandbox has; for an ordinary user a user namespace with that one user in it;
- every mount that was there is read-only; `/tmp`, `/dev/shm`, `/dev/pts` and `/proc` are fresh ones;
- no descriptor but its three pipes, a new session, a new session keyring, no capability, the filter on system calls;
- generators seeded afresh: Python's own, NumPy's, PyTorch's.

Memory is a copy, so nothing that a worker writes arrives here. A fork copies one thread and shares what is mapped as
shared, so with a second thread or a shared writable mapping there is none; nor where a worker that looks at its own
walls finds one missing (`missing`). The judge then starts every submission in a process of its own, as without this.
Modules are imported and no more: a framework that has computed something has threads, and pools that do not survive.
"""

from __future__ import annotations

import base64
import ctypes
import errno
import fcntl
import gc
import importlib
import os
import platform
import signal
import socket
import struct
import sys
import time

NEW_MOUNTS, NEW_NAME, NEW_IPC, NEW_USER, NEW_PIDS, NEW_NET = (
    0x00020000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
READ_ONLY, NO_SUID, NO_DEVICES, NO_EXEC, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
FLAGS = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21}
DUMPABLE, SECCOMP, DROP_BOUND, AMBIENT, SUBREAPER = 4, 22, 24, 47, 36
KEYCTL = {"x86_64": 250, "aarch64": 219}
FRESH = ("/tmp", "/dev/shm", "/dev/pts", "/proc")
MOST_FILES = 100_000
"""In each private folder: an empty file takes a kilobyte of the kernel's memory, and none of the folder's size."""
PATIENCE = 20.0
"""Seconds in which the processes of the last worker, killed already, must be gone."""

libc = ctypes.CDLL(None, use_errno=True)


class Unsound(Exception):
    """A wall is missing: nobody's code may run in this process."""


def called(name: str, *arguments: object) -> None:
    """Call a function of the C library; OSError where it fails."""
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def mount(kind: str, place: str, flags: int, options: str = "") -> None:
    """Mount a new file system of a kind at a place."""
    called("mount", b"none", place.encode(), kind.encode() or None, ctypes.c_ulong(flags), options.encode() or None)


def mounts() -> list[tuple[str, set[str]]]:
    """Return what is mounted, oldest first: the place and its options."""
    with open("/proc/self/mountinfo") as file:
        lines = [line.split(" ") for line in file]
    places = [line[4].encode().decode("unicode_escape").encode("latin-1").decode() for line in lines]
    return [(place, set(line[5].split(","))) for place, line in zip(places, lines, strict=True)]


def shared_mappings() -> list[str]:
    """Return the writable mappings that a fork would share instead of copying."""
    with open("/proc/self/maps") as file:
        lines = [line.split() for line in file]
    return [" ".join(line[5:]) or "without a file" for line in lines if "w" in line[1] and "s" in line[1]]


def mapped() -> int:
    """Return how many bytes this process has mapped."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def threads() -> int:
    """Return how many threads this process has."""
    return len(os.listdir("/proc/self/task"))


def descriptors() -> set[int]:
    """Return the open descriptors."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            os.fstat(int(name))
            found.add(int(name))
        except OSError:  # the one that the list was read from
            continue
    return found


def spaces() -> dict[str, str]:
    """Return the namespaces of this process."""
    return {name: os.readlink(f"/proc/self/ns/{name}") for name in ("mnt", "pid", "ipc", "net", "uts", "user")}


def exactly(count: int) -> bytes:
    """Read so many bytes from standard input; leave where it has ended."""
    parts = b""
    while len(parts) < count:
        if not (more := os.read(0, count - len(parts))):
            os._exit(0)
        parts += more
    return parts


def serve(wire: object, descriptor: int) -> None:
    """Import, then fork when asked; return in the workers alone, each with its pipes as standard streams.

    wire: the module; descriptor: of the socket over which a worker's pipes come. Requests and replies are frames:

    | request | reply |
    |---|---|
    | `{"modules": [name]}`, once | `"ready"` |
    | `["fork", order]`, three descriptors on the socket | `""`, or why there is no worker |
    | `["alone"]` | `""` as soon as no worker is left, or why not |

    order: `user` (a number, or None for a user namespace), `size` (bytes of a private folder), `filter` (base64).
    """

    def read() -> object:
        return wire.unpack(exactly(int.from_bytes(exactly(4), "big")))

    def say(reply: str) -> None:
        frame = wire.pack(reply)
        while frame:
            frame = frame[os.write(1, frame) :]

    channel = socket.socket(fileno=descriptor)
    for name in read()["modules"]:
        importlib.import_module(name)
    called("prctl", SUBREAPER, 1, 0, 0, 0)
    called("prctl", DUMPABLE, 0, 0, 0, 0)
    fonts = fonts_here()
    if left := descriptors() - {0, 1, 2, descriptor}:
        raise Unsound(f"the imports left {len(left)} descriptors open")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 2)  # from here on nobody reads what is said
    os.close(null)
    gc.collect()
    gc.freeze()  # a collection in a worker would touch, and so copy, all of it
    say("ready")
    while True:
        kind, *body = read()
        if kind == "alone":
            say(alone())
            continue
        _, streams, _, _ = socket.recv_fds(channel, 1, 3)
        if why := unfit() or alone():
            say(why)
        elif (helper := os.fork()) == 0:
            try:
                for number, stream in enumerate(streams):
                    os.dup2(stream, number)
                channel.detach()
                os.closerange(3, os.sysconf("SC_OPEN_MAX"))
                worker(body[0], fonts)
                return
            except BaseException as error:
                os.write(2, f"{type(error).__name__}: {error}".encode())
                os._exit(1)
        else:
            failed = os.waitpid(helper, 0)[1]
            say("its walls do not stand" if failed else "")
        for stream in streams:
            os.close(stream)


def unfit() -> str:
    """Return why no worker may be forked now, "" where it may."""
    if (count := threads()) != 1:
        return f"{count} threads run after the imports; a fork would copy one of them"
    if shared := shared_mappings():
        return f"memory is mapped as shared: {shared[0]}"
    return ""


def alone() -> str:
    """Bury the last worker's processes; return what is wrong where one does not end."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                if time.monotonic() > until:
                    return "a worker has not ended"
                time.sleep(0.002)
        except ChildProcessError:
            return ""


def fonts_here() -> dict[str, bytes]:
    """Return Matplotlib's lists of fonts, which lie in the home folder of every sandbox."""
    found = {}
    for name in os.listdir("."):
        if name.startswith("fontlist-"):
            with open(name, "rb") as file:
                found[name] = file.read()
    return found


def worker(order: dict, fonts: dict[str, bytes]) -> None:
    """Become a worker between walls of its own: two forks from here, the first of them ends at once."""
    before = spaces()
    separate(order["user"])
    cover_up(order["size"], fonts)
    if os.fork():
        os._exit(0)
    # The first process of its space: the kernel ends all others there when this one ends.
    os.setsid()
    mount("proc", "/proc", NO_SUID | NO_DEVICES | NO_EXEC)
    for place in ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"):
        if order["user"] is not None and os.path.exists(place):  # as bubblewrap does for root
            called("mount", place.encode(), place.encode(), None, ctypes.c_ulong(BIND | RECURSIVE), None)
            called("mount", b"none", place.encode(), None, ctypes.c_ulong(REMOUNT | BIND | READ_ONLY | 14), None)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a first process hears no signal that it has no handler for
    give_up(order["user"])
    obey(base64.b64decode(order["filter"]))
    if child := os.fork():
        os.closerange(0, os.sysconf("SC_OPEN_MAX"))
        while os.wait()[0] != child:
            pass
        os._exit(0)
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if why := missing(order["user"], before):
        raise Unsound(why)
    reseed()
    sys.argv[1:] = []


def separate(user: int | None) -> None:
    """Leave the namespaces of the process that forked this one; user: None where it takes a user namespace to do so."""
    uid, gid = os.getuid(), os.getgid()
    if user is None:
        called("prctl", DUMPABLE, 1, 0, 0, 0)  # or its own map would not be its own to write
    called("unshare", NEW_MOUNTS | NEW_NAME | NEW_IPC | NEW_PIDS | NEW_NET | (NEW_USER if user is None else 0))
    if user is None:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    called("prctl", DUMPABLE, 0, 0, 0, 0)
    if platform.machine() in KEYCTL and libc.syscall(KEYCTL[platform.machine()], 1, None) < 0:
        raise OSError(ctypes.get_errno(), "a new session keyring")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:  # the loopback is up, as bubblewrap leaves it
        flags = struct.unpack("16sh14x", fcntl.ioctl(asked, 0x8913, struct.pack("16sh14x", b"lo", 0)))[1]
        fcntl.ioctl(asked, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))


def cover_up(size: int, fonts: dict[str, bytes]) -> None:
    """Make every mount read-only, and put fresh ones over the folders that are written to."""
    called("mount", b"none", b"/", None, ctypes.c_ulong(PRIVATE | RECURSIVE), None)
    for place, options in mounts():
        if "ro" not in options:
            flags = REMOUNT | BIND | READ_ONLY | sum(FLAGS.get(option, 0) for option in options)
            called("mount", b"none", place.encode(), None, ctypes.c_ulong(flags), None)
    for place in ("/tmp", "/dev/shm"):
        mount("tmpfs", place, NO_SUID | NO_DEVICES, f"mode=1777,size={size},nr_inodes={MOST_FILES}")
    mount("devpts", "/dev/pts", NO_SUID | NO_EXEC, "newinstance,ptmxmode=0666,mode=620")
    umask = os.umask(0)
    os.mkdir("/tmp/home", 0o1777)
    os.umask(umask)
    os.chmod("/tmp/home", 0o1777)
    os.chdir("/tmp/home")
    for name, data in fonts.items():
        with open(name, "wb") as file:
            file.write(data)


def give_up(user: int | None) -> None:
    """Drop every privilege, for good."""
    for number in range(64):
        if libc.prctl(DROP_BOUND, number, 0, 0, 0) != 0:
            break
    called("prctl", AMBIENT, 4, 0, 0, 0)
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    header, none = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    called("capset", header, none)
    called("prctl", DUMPABLE, 0, 0, 0, 0)


def obey(program: bytes) -> None:
    """Put the filter on system calls over this process and all that it starts."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))

    if not program:
        raise Unsound("no filter on system calls for this machine")
    called("prctl", SECCOMP, 2, ctypes.byref(Program(len(program) // 8, program)), 0, 0)


def missing(user: int | None, before: dict[str, str]) -> str:
    """Return which wall around this process is missing, "" where all stand; before: the namespaces that were left."""
    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    wanted = {"Seccomp": "2", "NoNewPrivs": "1", "Threads": "1"}
    wanted |= {f"Cap{kind}": "0" * 16 for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
    if user is not None:
        wanted |= {"Uid": "\t".join([str(user)] * 4), "Gid": "\t".join([str(user)] * 4), "Groups": " "}
    for name, value in wanted.items():
        if status.get(name, value if name in {"Groups"} else "").strip() != value.strip():
            return f"{name} is {status.get(name)!r}"
    now = spaces()
    if same := [name for name in before if now[name] == before[name] and not (name == "user" and user is not None)]:
        return f"the namespace {same[0]} is that of others"
    if os.getpid() != 2 or sorted(name for name in os.listdir("/proc") if name.isdigit()) != ["1", "2"]:
        return "other processes are seen"
    if (found := descriptors()) != {0, 1, 2}:
        return f"descriptors {sorted(found)} are open"
    writable = [place for place, options in mounts() if "ro" not in options]
    if sorted(writable) != sorted(FRESH):
        return f"{sorted(writable)} are writable"
    number = KEYCTL.get(platform.machine(), -1)
    if libc.syscall(number, 0, -3, 0) != -1 or ctypes.get_errno() != errno.EPERM:
        return "the keyring is in reach"
    return ""


def reseed() -> None:
    """Seed the generators that a fork copies from the system's own source; Python's has done so by itself."""
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()
    if (torch := sys.modules.get("torch")) is not None:
        torch.random.default_generator.seed()
