"""A child process asked over its pipes, one frame for one frame, with a time limit on every answer."""

from __future__ import annotations

import contextlib
import glob
import queue
import subprocess
import threading
import time
from collections.abc import Callable

WATCH = 0.2  # seconds between two looks at the child

PATIENCE = 10
"""A limit stretches to at most so many times its seconds on a machine that keeps the child waiting."""


class Broken(Exception):
    """No answer: the child ended, broke the frame, or took too long; its text says which."""


class KeptWaiting:
    """The seconds in which processes were ready to run and the machine ran others (Linux; elsewhere always 0).

    Whoever computes or sleeps uses up a time limit; whoever stands in the queue of a busy machine does not, or the same
    work would pass on one machine and fail on another. The kernel counts that for every thread, in nanoseconds, as the
    second number of `/proc/PID/task/*/schedstat`.
    """

    def __init__(self, pids: Callable[[], list[int]]) -> None:
        """Look at the processes that `pids` returns each time."""
        self.pids, self.before = pids, {}

    def since(self) -> float:
        """Return by how much it has grown since the last look, for the thread that waited longest."""
        now = {}
        for pid in self.pids():
            for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
                with contextlib.suppress(OSError, ValueError, IndexError), open(path) as file:
                    now[path] = int(file.read().split()[1]) / 1e9
        grown = max((waited - self.before.get(path, 0.0) for path, waited in now.items()), default=0.0)
        self.before = now
        return max(0.0, grown)


class Channel:
    """The pipes of a child process. Writing can block as reading does, so a thread does both."""

    def __init__(self, process: subprocess.Popen, largest: int) -> None:
        """Talk to `process`; largest: bytes of an answer that are read."""
        self.process, self.largest = process, largest
        self.granted = 0.0
        self.questions: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self.exchange, daemon=True).start()

    def exchange(self) -> None:
        """Write each question and read its answer, until the pipe breaks."""
        into, out = self.process.stdin, self.process.stdout
        while (frame := self.questions.get()) is not None:
            try:
                into.write(frame)
                into.flush()
                size = int.from_bytes(head := out.read(4), "big")
                body = out.read(size) if len(head) == 4 and size <= self.largest else b""
            except (OSError, ValueError):
                break
            if not body or len(body) < size:
                break
            self.answers.put(body)
        self.answers.put(None)
        for pipe in (into, out):
            with contextlib.suppress(OSError):
                pipe.close()

    def ask(
        self, frame: bytes, seconds: float, watch: Callable[[], str] = str, kept: Callable[[], float] = float
    ) -> bytes:
        """Return the body of the answer.

        watch: looked at while waiting; a text from it ends the wait; kept: the seconds since the last look in which the
        child was kept waiting, by which the limit is later (see `KeptWaiting`). `granted` adds them up.
        """
        self.questions.put(frame)
        looked = time.monotonic()
        until, latest = looked + seconds, looked + PATIENCE * seconds
        while True:
            try:
                body = self.answers.get(timeout=max(0.0, min(WATCH, until - time.monotonic())))
            except queue.Empty:
                now = time.monotonic()
                grant = min(kept(), now - looked, latest - until)
                until, looked, self.granted = until + grant, now, self.granted + grant
                if why := watch() or (f"ran over its {seconds:.3g} s" if now >= until else ""):
                    raise Broken(why) from None
                continue
            if body is None:
                raise Broken("ended its process")
            return body

    def close(self) -> None:
        """Let the thread end; call it once the child is dead."""
        self.questions.put(None)
