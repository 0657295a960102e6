"""The trusted process of a pool's slot: judges one submission after another, and is killed where it hangs.

The checks run on data that students chose; whatever they do to this process, the pool takes the next one.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections import deque
from collections.abc import Collection
from typing import Any

from workshop.environment import ENVIRONMENT
from workshop.grading import nursery, wire
from workshop.grading.channel import Broken, Channel, KeptWaiting
from workshop.grading.sandbox import descendants, end, remove

LARGEST = 2**30
SLACK = 120.0
"""Seconds beyond a submission's own time: for the imports and the reference solutions of the master."""


class Judge:
    """A judge's process as the pool holds it."""

    def __init__(self) -> None:
        """Start it."""
        self.folder = tempfile.mkdtemp(prefix="workshop-judge-")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "workshop.grading.server", self.folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | ENVIRONMENT | {"MPLBACKEND": "agg", "TMPDIR": self.folder},
            start_new_session=True,
        )
        self.channel = Channel(self.process, LARGEST)
        self.kept = KeptWaiting(lambda: [self.process.pid, *descendants(self.process.pid)])

    def grade(self, task: dict) -> dict:
        """Return the judgement of a task, or raise Broken."""
        seconds = task["limits"]["submission"] + task["limits"]["start"] + SLACK
        return wire.unpack(self.channel.ask(wire.pack(task, LARGEST), seconds, kept=self.kept.since))

    def close(self) -> None:
        """End it, with every process below it and every file in its folder."""
        end(self.process)
        self.channel.close()
        remove(self.folder)


IDLE: deque[Judge] = deque()
"""Judges that wait, in this process of the pool; its tasks may run in several threads."""


@atexit.register
def dismiss() -> None:
    """End the judges that wait."""
    while IDLE:
        IDLE.pop().close()


def judge(task: dict) -> dict:
    """Judge one submission in a process of its own; what the pool calls.

    task: `key`, `master` and `submission` (notebooks as dicts), `seed`, `isolation`, `limits`, and where there are any
    `files` beside the notebook (name to base64), those of the assignment itself named in `given`. Return the judgement
    with its `key`, or `{"key": ..., "error": why}`: the grader's own trouble, which says nothing of the submission.
    """
    why = ""
    for _ in range(2):
        try:
            one = IDLE.pop() if IDLE else Judge()
        except (IndexError, OSError) as error:  # another thread took the last one
            why = f"the judge does not start: {error}"
            continue
        try:
            answer = one.grade(task)
        except (Broken, wire.WireError) as error:
            one.close()
            why = f"the judge {error}"
            if "ran over" in why:
                break
            continue
        except BaseException:
            one.close()
            raise
        IDLE.append(one)
        return answer | {"key": task["key"]}
    return {"key": task["key"], "error": why}


def main(folder: str) -> None:
    """Serve the tasks that come on standard input until it closes; then leave nothing, not even the folder."""
    tasks, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if sys.platform.startswith("linux"):
        # PR_SET_CHILD_SUBREAPER: what a student's process leaves behind, without bubblewrap, becomes this one's child.
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def listen() -> None:
        while len(head := tasks.read(4)) == 4:
            waiting.put(tasks.read(int.from_bytes(head, "big")))
        while os.path.exists(folder):  # the pool is gone; the main thread may just be starting another sandbox
            sweep()
            remove(folder)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        try:
            answer = answer_to(json.loads(waiting.get()))
        except BaseException as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            answer = {"error": f"{type(error).__name__}: {error} ({os.path.basename(last.filename)}:{last.lineno})"}
        sweep(nursery.spared())
        answers.write(wire.pack(answer, LARGEST))
        answers.flush()


def answer_to(task: dict) -> dict:
    """Judge the submission of a task."""
    from workshop.grading.judge import grade
    from workshop.grading.node import node
    from workshop.grading.sandbox import Limits

    judgement = grade(
        node(task["master"]),
        node(task["submission"]),
        seed=task["seed"],
        isolation=task["isolation"],
        limits=Limits(**task["limits"]),
        files=task.get("files", {}),
        given=task.get("given", []),
    )
    return judgement.to_dict()


def sweep(spared: Collection[int] = ()) -> None:
    """End every process below this one but `spared`: between two submissions there should be none.

    Where one is ended, it came from somewhere, so what is spared goes, too.
    """
    while set(pids := descendants(os.getpid())) - set(spared):
        spared = ()
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


if __name__ == "__main__":
    main(sys.argv[1])
