"""Kernels that start at once: forked from a process that has imported the frameworks.

A chapter's kernel takes seconds to import two frameworks, thirty chapters take minutes. Here one process imports them,
runs nothing, and forks for each kernel that is asked for; what a kernel does after that is its own, and no kernel sees
another's. A process that has only imported them has a single thread, so the fork is a whole copy: where it has more,
and on every system but Linux, `available` says no, and kernels start the ordinary way.

    with warm.kernels(folder) as environment:      # variables that lead Jupyter to the kernel named "warm"
        subprocess.run(["pytest", "--nbval", "--nbval-kernel-name", "warm", ...], env=os.environ | environment)

The tests of all chapters use it. Recordings do not: they are made in fresh processes, and the tests compare with them.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

NAME = "warm"

FRAMEWORKS = (
    "numpy",
    "scipy.optimize",
    "scipy.special",
    "scipy.stats",
    "pandas",
    "sklearn.datasets",
    "matplotlib.figure",
    "matplotlib.font_manager",
    "matplotlib.backends.backend_agg",
    "ipykernel.kernelapp",
    "torch",
    "keras",
    "tensorflow",
)
"""What is imported once. Nothing of this repository: a chapter that forgets to import it must fail. Not
matplotlib.pyplot, which takes the back end of whoever imports it first."""


def available() -> bool:
    """Whether this system can fork such kernels."""
    return sys.platform.startswith("linux")


@contextlib.contextmanager
def kernels(
    folder: Path, variables: Mapping[str, str] | None = None, modules: Sequence[str] = FRAMEWORKS
) -> Iterator[dict[str, str]]:
    """Start the process that kernels are forked from; yield the variables by which Jupyter finds the kernel `warm`.

    variables: of that process, beside those of every recording; modules: what it imports. RuntimeError where it does
    not start, with its last words.
    """
    from workshop.environment import ENVIRONMENT  # here: who only starts a kernel has nothing but the standard library

    spec = {
        "argv": [sys.executable, "-P", "-S", __file__, "start", "{connection_file}"],
        "display_name": "Python 3 (warm)",
        "language": "python",
    }
    # Not below `folder`: the path of a socket may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="warm-") as scratch:
        address = os.path.join(scratch, "socket")
        spec["env"] = {"WORKSHOP_WARM": address}
        place = folder / "kernels" / NAME
        place.mkdir(parents=True, exist_ok=True)
        (place / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
        paths = os.pathsep.join(filter(None, [str(folder), os.environ.get("JUPYTER_PATH")]))
        command = [sys.executable, "-P", __file__, "serve", address, *modules]
        environment = os.environ | ENVIRONMENT | (variables or {})
        with (
            open(os.path.join(scratch, "log"), "w+", encoding="utf-8") as log,
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log) as server,
        ):
            try:
                if server.stdout.readline() != b"ready\n":
                    log.seek(0)
                    raise RuntimeError(f"no process to fork kernels from: {log.read().strip()[-2000:]}")
                yield {"JUPYTER_PATH": paths}
            finally:
                server.terminate()


def serve(address: str, *modules: str) -> None:
    """Import the modules, then fork for each client until terminated."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    for module in modules:
        __import__(module)
    if (threads := len(os.listdir("/proc/self/task"))) > 1:
        raise RuntimeError(f"{threads} threads run after the imports; a fork would copy one of them")
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, all of it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel of the system buries the children
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            client, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                become_kernel(client)
            client.close()


def become_kernel(client: socket.socket) -> None:
    """Take over the client's folder, variables and streams, and be the kernel that it was started as."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    text, streams, _, _ = socket.recv_fds(client, 1 << 20, 3)
    while not text.endswith(b"\n"):
        text += client.recv(1 << 20)
    order = json.loads(text)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    client.sendall(b"%d\n" % os.getpid())

    def leave_with_the_client() -> None:
        client.recv(1)
        os._exit(1)

    threading.Thread(target=leave_with_the_client, daemon=True).start()
    from ipykernel.kernelapp import IPKernelApp

    class Kernel(IPKernelApp):
        """Reads requests in its main thread, as before ipykernel 7.

        Between the two threads of ipykernel 7 a request could be left unread, the kernel idle and its client waiting
        for ever (ipython/ipykernel#1554); subshells, which the second thread is for, no chapter needs.
        """

        def init_control(self, context: object) -> None:
            super().init_control(context)
            self.shell_channel_thread = None

    parent = f"--IPKernelApp.parent_handle={os.getppid()}"  # it ends when this one has gone
    sys.argv = ["ipykernel_launcher.py", "-f", order["connection"], parent]
    sys.path.insert(0, "")  # as in every kernel
    Kernel.launch_instance()
    os._exit(0)


def start(connection: str) -> int:
    """Ask for a kernel, pass signals on to it, end when it ends."""
    order = {"connection": connection, "folder": os.getcwd(), "environment": dict(os.environ)}
    del order["environment"]["WORKSHOP_WARM"]
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(os.environ["WORKSHOP_WARM"])
        text = json.dumps(order).encode() + b"\n"
        sent = socket.send_fds(server, [text], [0, 1, 2])
        server.sendall(text[sent:])
        kernel = int(server.recv(32))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.kill(kernel, number))
        while server.recv(1):
            pass
    return 0


if __name__ == "__main__":
    sys.exit({"serve": serve, "start": start}[sys.argv[1]](*sys.argv[2:]) or 0)
