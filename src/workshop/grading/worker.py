"""Inside the sandbox: runs a student's cells, then answers questions about what they defined.

Run as a program of its own (`python -I worker.py`). It holds no check and no answer. Requests come on standard input
and replies go to standard output, each with the number of its request; before the first cell runs both are moved
away, so that `input()` finds an empty file and prints go nowhere.

| request | reply |
|---|---|
| `["cell", source]` | `null`, or `["raised", type, message]` |
| `["define", source]`: functions that run beside the student's | the same |
| `["call", name, [arguments, keywords]]` | `["value", data]`, `["raised", type, message]`, or `["refused", why]` |
| `["value", name]` | the same |
"""

from __future__ import annotations

import contextlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire  # not a package: this file and wire.py are all that the sandbox sees of it

del sys.path[0]

MESSAGE = 500  # letters of an exception's text that cross


def limit(settings: dict) -> None:
    """Give up privileges and set this process's limits; both hold for everything started from here."""
    if settings.get("user"):
        os.setgroups([])
        os.setgid(settings["user"])
        os.setuid(settings["user"])
    try:
        import resource
    except ImportError:  # Windows has none; the gradebook says so
        return
    wanted = {
        "AS": settings["memory"],
        "CPU": settings["cpu"],
        "FSIZE": settings["file"],
        "NPROC": settings.get("processes"),
        "CORE": 0,
    }
    for name, most in wanted.items():
        if most is not None and hasattr(resource, f"RLIMIT_{name}"):
            kind = getattr(resource, f"RLIMIT_{name}")
            hard = resource.getrlimit(kind)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            with contextlib.suppress(ValueError, OSError):  # macOS refuses RLIMIT_AS
                resource.setrlimit(kind, (most, most))


def own_pipes() -> tuple:
    """Move standard input and output to other descriptors; leave empty ones in their place."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    return requests, replies


def start_shell():
    """Return an IPython shell without history, colours or a terminal; magics and `!` work as in a notebook."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Shell(InteractiveShell):
        def enable_gui(self, gui=None):
            """Accept `%matplotlib` of any kind: nobody looks."""

    settings = Config()
    settings.HistoryManager.enabled = False
    settings.InteractiveShell.colors = "nocolor"
    settings.InteractiveShell.xmode = "Minimal"
    settings.InteractiveShell.banner1 = ""
    return Shell.instance(config=settings)


def raised(error: BaseException) -> list:
    """Return an exception as data; its text may itself fail."""
    try:
        message = str(error)[:MESSAGE]
    except BaseException:
        message = ""
    return ["raised", type(error).__name__, message]


def main() -> None:
    """Serve until the pipe closes."""
    requests, replies = own_pipes()

    def read() -> object:
        if len(head := requests.read(4)) < 4:
            os._exit(0)
        return wire.unpack(requests.read(int.from_bytes(head, "big")))

    settings = read()
    limit(settings)
    shell = start_shell()
    beside: dict = {}

    def find(name: str) -> object:
        space = beside if name in beside else shell.user_ns
        if name not in space:
            raise NameError(f"name {name!r} is not defined")
        return space[name]

    def answer(kind: str, *body) -> object:
        if kind == "cell":
            try:
                result = shell.run_cell(body[0], store_history=False)
                error = result.error_before_exec or result.error_in_exec
            except BaseException as own:  # a cell may take IPython itself apart
                error = own
            return None if error is None else raised(error)
        try:
            if kind == "define":
                # A copy of the names as the last cell left them: helpers cannot be redefined afterwards.
                beside.update({name: value for name, value in shell.user_ns.items() if name not in beside})
                exec(compile(body[0], "<beside>", "exec"), beside)
                return None
            if kind == "value":
                value = find(body[0])
            else:
                arguments, keywords = wire.decode(body[1], lookup=find)
                value = find(body[0])(*arguments, **keywords)
        except BaseException as error:
            return raised(error)
        try:
            return ["value", wire.encode(value)]
        except BaseException as error:
            return ["refused", str(error)[:MESSAGE] if isinstance(error, wire.WireError) else type(error).__name__]

    # Up to here the grader hears why it does not start; from here on standard error is the student's.
    os.dup2(0, 2)
    number = 0
    replies.write(wire.pack([number, "ready"]))
    replies.flush()
    while True:
        number, *request = read()
        reply = answer(*request)
        try:
            frame = wire.pack([number, reply], settings["frame"])
        except BaseException as error:
            frame = wire.pack([number, ["refused", str(error)[:MESSAGE]]])
        replies.write(frame)
        replies.flush()


if __name__ == "__main__":
    main()
