"""Inside the sandbox: runs a student's cells, then answers questions about what they defined.

Run as a program of its own (`python -I worker.py`), or forked from one that has imported what it will need (`forks.py`,
`python -I worker.py forks FD`). It holds no check and no answer. Requests come on standard input
and replies go to standard output, each with the number of its request; before the first cell runs both are moved
away, so that `input()` finds an empty file and prints go nowhere.

| request | reply |
|---|---|
| `["cell", source]` | `null`, or `["raised", type, message]` |
| `["file", name, base64]`: a file beside the notebook | `null`, or `["raised", type, message]` |
| `["mark", place]`: the names as they are now belong to this place | `null` |
| `["define", source]`: functions that run beside the student's, at every place | as for a cell |
| `["call", place, name, [arguments, keywords]]` | `["value", data]`, `["raised", type, message]`, `["refused", why]` |
| `["value", place, name]` | the same |

A check asks at the place in the notebook where it stands. All cells have run by then, so what a cell says cannot
depend on a check; for the call the names, and the settings of the frameworks, are put back as they were there.
"""

from __future__ import annotations

import binascii
import contextlib
import os
import sys
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire  # not a package: this file, wire.py and, where workers are forked, forks.py are all that the sandbox sees

if sys.argv[1:2] == ["forks"]:
    import forks

del sys.path[0]

MESSAGE = 500  # letters of an exception's text that cross
RUN, COMPILE = exec, compile
"""Kept before a cell can put others in their place. What a helper returns is the student's word all the same."""


def limit(settings: dict) -> None:
    """Give up privileges and set this process's limits; both hold for everything started from here.

    `spared`: bytes mapped already that are not the student's, since they were imported for every submission at once.
    """
    if settings.get("user"):
        os.setgroups([])
        os.setgid(settings["user"])
        os.setuid(settings["user"])
    try:
        import resource
    except ImportError:  # Windows has none; the gradebook says so
        return
    wanted = {
        "AS": settings["memory"] + settings.get("spared", 0),
        "CPU": settings["cpu"],
        "FSIZE": settings["file"],
        "NPROC": settings.get("processes"),
        "NOFILE": settings.get("descriptors"),  # what waits in a socket is the kernel's memory, which no limit counts
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


class Elsewhere:
    """Finds `google.colab`, which is nowhere but in Colab: mounting a drive and the like do nothing here."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Return how to make the module, None for any other."""
        if name == "google" or name == "google.colab" or name.startswith("google.colab."):
            from importlib.machinery import ModuleSpec

            return ModuleSpec(name, Elsewhere, is_package=True)
        return None

    @staticmethod
    def create_module(spec):
        """Return a module whose every name is a function that does nothing and has every attribute."""
        from types import ModuleType

        class Nothing(ModuleType):
            def __getattr__(self, name):
                if name.startswith("__"):
                    raise AttributeError(name)
                return Nothing(name)

            def __call__(self, *_, **__):
                return None

        return Nothing(spec.name)

    @staticmethod
    def exec_module(module):
        """Do nothing."""


def put(name: str, data: str) -> None:
    """Write a file beside the notebook; the name stays below the working folder."""
    path = os.path.normpath(os.path.join(os.getcwd(), name))
    if not path.startswith(os.getcwd() + os.sep):
        raise ValueError("a path that leads out of the working folder")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(binascii.a2b_base64(data))


def raised(error: BaseException) -> list:
    """Return an exception as data; its text may itself fail."""
    try:
        message = str(error)[:MESSAGE]
    except BaseException:
        message = ""
    return ["raised", type(error).__name__, message]


def settings_now() -> list:
    """Return what undoes a change of the process's settings: pairs of a function and its arguments.

    A framework that is not loaded yet is put back to the way it starts.
    """
    found: list = [(os.chdir, (os.getcwd(),)), (warn_as, (list(warnings.filters),))]
    if (numpy := sys.modules.get("numpy")) is not None:
        found.append((lambda state: numpy.seterr(**state), (numpy.geterr(),)))
    found.append((torch_to, torch_now()))
    keras = sys.modules.get("keras")
    floatx = keras.config.floatx() if keras and hasattr(keras, "config") else "float32"

    def floatx_to(name: str) -> None:
        if (keras := sys.modules.get("keras")) is not None and hasattr(keras, "config"):
            keras.config.set_floatx(name)

    return [*found, (floatx_to, (floatx,))]


def warn_as(filters: list) -> None:
    """Put back what is done with warnings."""
    warnings.resetwarnings()  # lets the interpreter know, too
    warnings.filters[:] = filters


TORCH = (True, "float32", "cpu", False, False, False)
"""How PyTorch starts: gradients, type and device of new tensors, anomalies looked for, determinism, denormals flushed.
"""


def torch_now() -> tuple:
    """Return PyTorch's settings, those it starts with where it is not loaded or has been taken apart."""
    try:
        torch = sys.modules["torch"]
        return (
            torch.is_grad_enabled() and not torch.is_inference_mode_enabled(),
            str(torch.get_default_dtype()).partition(".")[2],
            str(torch.get_default_device()),
            torch.is_anomaly_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            5e-324 * len("x") == 0,
        )
    except Exception:
        return TORCH


def torch_to(*wanted: object) -> None:
    """Put PyTorch's settings back, those alone that differ: setting one is not always without effect."""
    if (torch := sys.modules.get("torch")) is None:
        return
    setters = (
        torch.set_grad_enabled,
        lambda name: torch.set_default_dtype(getattr(torch, name)),
        lambda device: torch.set_default_device(None if device == "cpu" else device),
        torch.autograd.set_detect_anomaly,
        torch.use_deterministic_algorithms,
        torch.set_flush_denormal,
    )
    for setter, is_now, was in zip(setters, torch_now(), wanted, strict=True):
        if is_now != was:
            setter(was)


class Places:
    """The student's names as they were at each place of the notebook, and the helpers beside them."""

    def __init__(self, names: dict) -> None:
        """Keep `names`, the namespace of the notebook, at hand."""
        self.names, self.kept, self.helpers = names, {}, []
        self.beside: dict = {}
        self.now: object = None

    def mark(self, place: str) -> None:
        """Keep the names as they are now."""
        self.kept[place] = (dict(self.names), settings_now())

    def enter(self, place: str) -> None:
        """Put the names back as they were at a place, with the helpers beside a copy of them; then the settings.

        A place that was not marked is the present.
        """
        names, settings = self.kept.get(place) or (dict(self.names), [])
        if self.now != place or not settings:
            self.names.clear()
            self.names.update(names)
            self.beside = dict(names)
            for source in self.helpers:
                RUN(COMPILE(source, "<beside>", "exec"), self.beside)
            self.now = place
        for function, arguments in settings:
            try:
                function(*arguments)
            except Exception:  # a setting that cannot be put back is as the student left it
                continue

    def find(self, name: str) -> object:
        """Return what a name stands for, a helper's before the student's."""
        if name not in self.beside:
            raise NameError(f"name {name!r} is not defined")
        return self.beside[name]


def main() -> None:
    """Serve until the pipe closes."""
    if forked := sys.argv[1:2] == ["forks"]:
        forks.serve(wire, int(sys.argv[2]))  # returns in the workers alone
    requests, replies = own_pipes()

    def read() -> object:
        if len(head := requests.read(4)) < 4:
            os._exit(0)
        return wire.unpack(requests.read(int.from_bytes(head, "big")))

    settings = read()
    if forked:
        settings["spared"] = forks.mapped()
    limit(settings)
    # The course's package is the grader's own, wherever an installed one would come from.
    sys.path[:0] = [path for path in settings.get("path", []) if path not in sys.path]
    shell = start_shell()
    sys.path.insert(0, "")  # as in Jupyter: a module that the notebook has written can be imported
    sys.meta_path.append(Elsewhere)
    places = Places(shell.user_ns)

    def answer(kind: str, *body) -> object:
        if kind == "cell":
            try:
                result = shell.run_cell(body[0], store_history=False)
                error = result.error_before_exec or result.error_in_exec
            except BaseException as own:  # a cell may take IPython itself apart
                error = own
            return None if error is None else raised(error)
        try:
            if kind == "file":
                put(*body)
                return None
            if kind == "mark":
                places.mark(body[0])
                return None
            if kind == "define":
                RUN(COMPILE(body[0], "<beside>", "exec"), dict(shell.user_ns))
                places.helpers.append(body[0])
                return None
            places.enter(body[0])
            if kind == "value":
                value = places.find(body[1])
            else:
                arguments, keywords = wire.decode(body[2], lookup=places.find)
                value = places.find(body[1])(*arguments, **keywords)
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
