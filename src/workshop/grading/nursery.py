"""Sandboxes that are ready at once: forked from a process that has imported the frameworks (`forks.py`).

A submission's sandbox imports two frameworks, which takes most of the time of judging it. A `Nursery` is a bubblewrap
whose process has imported them and has run nothing else; each submission gets a fork of it, between walls of its own.
One fork at a time, and the nursery is discarded as soon as anything goes wrong in a fork, whoever's fault it is, and
after each submission that a person has to look at: what has met a hostile submission meets no other one.

Where a condition is not met (`forks.missing`, `forks.unfit`), where user namespaces are refused to an ordinary user,
without bubblewrap or a filter for this processor, nothing is forked: each submission gets a process of its own, which
takes longer and gives the same marks. `refusal` says why.
"""

from __future__ import annotations

import ast
import atexit
import base64
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from workshop.grading import sandbox, seccomp, wire
from workshop.grading.assignment import parse
from workshop.grading.channel import Broken, Channel, KeptWaiting
from workshop.grading.sandbox import Limits, Sandbox, SandboxError, Stopped

START = 240.0
"""Seconds that the imports may take on a slow disk."""
FORK = 30.0

SHELL = ("IPython.core.interactiveshell", "traitlets.config")
FRAMEWORKS = ("numpy", "scipy", "pandas", "matplotlib", "sklearn", "torch", "keras", "tensorflow")
"""What is imported once, where the master's code names it. Only what no student can have written."""

SETS_VARIABLES = re.compile(r"environ|putenv|%\s*(?:set_)?env\b|setenv|\bexport\b")
"""A notebook that sets variables before it imports a framework wants to be heard: `KERAS_BACKEND`, for one."""


def frameworks(sources: Iterable[str]) -> tuple[str, ...]:
    """Return what of `FRAMEWORKS` code imports: itself, wherever it does, or through the course's own modules.

    Of a module of the course, what it imports when it is itself imported.
    """
    found: set[str] = set()
    waiting = list(set().union(*(imported(ast.walk(parse(source))) for source in sources)))
    while waiting:
        if (name := waiting.pop()) in found:
            continue
        found.add(name)
        if name.partition(".")[0] == "gradclinic" and sandbox.package():
            place = Path(sandbox.package()).parent.joinpath(*name.split("."))
            for path in (place.with_suffix(".py"), place / "__init__.py"):
                if path.is_file():
                    waiting += imported(ast.parse(path.read_text(encoding="utf-8")).body)
    tops = {name.partition(".")[0] for name in found}
    return tuple(name for name in FRAMEWORKS if name in tops)


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the full names of modules, and of what is taken from them, that these parts of a program import."""
    names: set[str] = set()
    for part in nodes:
        if isinstance(part, ast.Import):
            names |= {alias.name for alias in part.names}
        elif isinstance(part, ast.ImportFrom) and part.module and not part.level:
            names |= {part.module} | {f"{part.module}.{alias.name}" for alias in part.names}
    return names


class Unfit(Exception):
    """Nothing can be forked here; its text says why."""


@dataclass
class Fork:
    """A forked worker's pipes as the judge holds them."""

    stdin: BinaryIO
    stdout: BinaryIO
    stderr: BinaryIO


class Nursery:
    """The process that has imported `modules`, in its bubblewrap."""

    def __init__(self, modules: tuple[str, ...], limits: Limits) -> None:
        """Start it and wait for the imports; Unfit where that fails."""
        self.modules, self.root, self.busy = modules, sandbox.as_root(), False
        command = sandbox.bubblewrap_command(limits, root=self.root, forks=True)
        sandbox.new_keyring()
        self.socket, theirs = socket.socketpair()
        with theirs:
            program = [sys.executable, "-I", "/workshop/worker.py", "forks", str(theirs.fileno())]
            try:
                self.process = subprocess.Popen(
                    [*command, *program],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                    pass_fds=[theirs.fileno()],
                )
            except OSError as error:
                raise Unfit(str(error)) from error
        self.channel = Channel(self.process, wire.FRAME)
        self.kept = KeptWaiting(lambda: [self.process.pid, *sandbox.descendants(self.process.pid)])
        self.ask({"modules": [*SHELL, *modules]}, START)
        self.own = [self.process.pid, *sandbox.descendants(self.process.pid)]
        """bubblewrap, its first process inside, and the one that forks."""

    def ask(self, request: Any, seconds: float = FORK) -> None:
        """Send a request; end the nursery and raise Unfit where the reply is not that it was done."""
        try:
            reply = wire.unpack(self.channel.ask(wire.pack(request), seconds, kept=self.kept.since))
        except (Broken, wire.WireError) as error:
            reply = str(error)
        if reply not in ("", "ready"):
            said = self.close()
            raise Unfit(f"{reply}: {said}" if said else str(reply))

    def fork(self, order: dict[str, Any]) -> Fork:
        """Return a new worker's pipes; it waits for its settings."""
        ends = [os.pipe(), os.pipe(), os.pipe()]
        (into, ours_in), (ours_out, out), (ours_said, said) = ends
        made = Fork(os.fdopen(ours_in, "wb"), os.fdopen(ours_out, "rb"), os.fdopen(ours_said, "rb"))
        try:
            try:
                socket.send_fds(self.socket, [b"f"], [into, out, said])
            except OSError as error:
                self.close()
                raise Unfit(str(error)) from error
            finally:
                for descriptor in (into, out, said):
                    os.close(descriptor)
            try:
                self.ask(["fork", order])
            except Unfit as error:
                why = made.stderr.read().decode(errors="replace").strip()[-500:]
                raise Unfit(f"{error}: {why}" if why else str(error)) from error
        except BaseException:
            for pipe in (made.stdin, made.stdout, made.stderr):
                with contextlib.suppress(OSError):
                    pipe.close()
            raise
        self.busy = True
        return made

    def born(self) -> list[int]:
        """Return the processes of the worker, the first of its process space before all others."""
        return sandbox.descendants(self.own[-1])

    def clear(self) -> None:
        """End the worker with everything it has started."""
        for pid in self.born():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.busy = False
        if self.alive:
            with contextlib.suppress(Unfit):
                self.ask(["alone"])
        if self.born():
            self.close()

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return not self.process.stderr.closed and self.process.poll() is None

    def close(self) -> str:
        """End it with everything below it; return its last words."""
        if self.process.stderr.closed:
            return ""
        sandbox.end(self.process)
        self.channel.close()
        self.socket.close()
        with self.process.stderr as said:
            return said.read().decode(errors="replace").strip()[-500:]


class Forked(Sandbox):
    """A sandbox whose process is a fork. `Unfit` where there is none."""

    def __init__(self, nursery: Nursery, limits: Limits) -> None:
        """Fork one."""
        self.nursery = nursery
        super().__init__("bubblewrap", limits)
        self.spared = sandbox.resident(self.processes())  # imported for all submissions at once

    def start(self, settings: dict[str, Any]) -> Fork:
        """Fork the process; the user that it becomes is chosen here."""
        user = None
        if self.nursery.root:
            user, self.lock = sandbox.own_user()
        program = base64.b64encode(seccomp.program()).decode()
        try:
            return self.nursery.fork({"user": user, "size": self.limits.memory // 4, "filter": program})
        except BaseException:
            self.unlock()
            raise

    def processes(self) -> list[int]:
        """Return the first process of the fork's space, which is no student's, and the student's."""
        return self.nursery.born() or [0]

    def wait(self, frame: bytes, seconds: float) -> Any:
        """As for every sandbox; where it stops, the nursery is discarded."""
        try:
            return super().wait(frame, seconds)
        except Stopped:
            self.nursery.close()
            raise

    def end(self) -> None:
        """End the process and everything it has started, and let the nursery bury it."""
        self.nursery.clear()


LOCK = threading.Lock()
KEPT: list[Nursery] = []
"""The nursery of this process: one, since each holds the frameworks in memory."""

REFUSED: list[str] = []
"""Why nothing is forked in this process any more."""


def refusal() -> str:
    """Return why this machine forks no sandboxes, as far as it was tried; "" where it does."""
    if not REFUSED and not seccomp.program():
        REFUSED.append("there is no filter on system calls for this processor")
    return REFUSED[0] if REFUSED else ""


def start(isolation: str, limits: Limits, modules: Iterable[str] | None) -> Sandbox:
    """Return a sandbox: a fork of a process with these modules where that can be, else a process of its own.

    modules: None for a process of its own. SandboxError where neither starts.
    """
    if modules is None or isolation != "bubblewrap" or refusal():
        return Sandbox(isolation, limits)
    wanted = tuple(name for name in FRAMEWORKS if name in set(modules))
    with LOCK:
        try:
            if KEPT and (not KEPT[0].alive or (KEPT[0].modules != wanted and not KEPT[0].busy)):
                dismiss()
            if not KEPT:
                KEPT.append(Nursery(wanted, limits))
            if not KEPT[0].busy:  # one fork at a time
                return Forked(KEPT[0], limits)
        except (Unfit, SandboxError) as error:
            REFUSED.append(str(error))
            dismiss()
    return Sandbox(isolation, limits)


@atexit.register
def dismiss() -> None:
    """End the nursery; the next sandbox has a new one."""
    while KEPT:
        KEPT.pop().close()


def spared() -> set[int]:
    """Return the processes of the nursery, which are to outlive a submission."""
    return {pid for nursery in KEPT if nursery.alive for pid in nursery.own}
