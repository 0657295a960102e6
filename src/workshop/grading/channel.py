"""A child process asked over its pipes, one frame for one frame, with a time limit on every answer."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import threading
import time
from collections.abc import Callable

WATCH = 0.2  # seconds between two looks at the child


class Broken(Exception):
    """No answer: the child ended, broke the frame, or took too long; its text says which."""


class Channel:
    """The pipes of a child process. Writing can block as reading does, so a thread does both."""

    def __init__(self, process: subprocess.Popen, largest: int) -> None:
        """Talk to `process`; largest: bytes of an answer that are read."""
        self.process, self.largest = process, largest
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

    def ask(self, frame: bytes, seconds: float, watch: Callable[[], str] = str) -> bytes:
        """Return the body of the answer. watch: looked at while waiting; a text from it ends the wait."""
        self.questions.put(frame)
        until = time.monotonic() + seconds
        while True:
            try:
                body = self.answers.get(timeout=max(0.0, min(WATCH, until - time.monotonic())))
            except queue.Empty:
                if why := watch() or (f"ran over its {seconds:.3g} s" if time.monotonic() >= until else ""):
                    raise Broken(why) from None
                continue
            if body is None:
                raise Broken("ended its process")
            return body

    def close(self) -> None:
        """Let the thread end; call it once the child is dead."""
        self.questions.put(None)
