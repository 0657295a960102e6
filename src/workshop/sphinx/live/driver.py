"""Runs a page's cells in the browser, as a notebook would: print-outs, figures, mistakes with their line.

The worker calls :func:`start` once and :func:`run` for each cell. Nothing here is imported when the site is built.
"""

import ast
import base64
import builtins
import io
import json
import linecache
import sys
import time
import traceback
import types
import warnings

import cells  # workshop/live/cells.py, put beside this file

LONGEST = 200_000  # characters of one cell's print-out; the rest is counted


class Missing:
    """Stands for what a left-out line would have made: whoever touches it is told what is missing."""

    def __init__(self, name, lacks):
        self.__dict__.update(name=name, lacks=lacks)

    def _say(self, *_, **__):
        raise NeedsFramework(self.__dict__["name"], self.__dict__["lacks"])

    __getattr__ = __setattr__ = __call__ = __getitem__ = __iter__ = __len__ = __bool__ = __float__ = __array__ = _say
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __matmul__ = _say


class NeedsFramework(Exception):
    """A line touched something that only a framework could have made."""

    def __init__(self, name, lacks):
        super().__init__(f"{name} needs {listed(lacks)}, which a browser cannot run")
        self.lacks = lacks


class Printed(io.TextIOBase):
    """What a cell prints, handed on in pieces while it runs."""

    def __init__(self, hand_on, kind="text"):
        self.hand_on, self.kind, self.waiting, self.length, self.last = hand_on, kind, [], 0, 0.0

    def writable(self):
        return True

    def write(self, text):
        if self.length < LONGEST:
            self.waiting.append(text)
        elif self.length < LONGEST + 1000:
            self.waiting.append("\n[the print-out is longer than this page shows]\n")
            self.length += 1000
        self.length += len(text)
        if time.monotonic() - self.last > 0.2:
            self.flush()
        return len(text)

    def flush(self):
        text, self.waiting, self.last = "".join(self.waiting), [], time.monotonic()
        if text:
            self.hand_on({"kind": self.kind, "text": text})


def listed(titles):
    """Titles as a sentence lists them."""
    *first, last = sorted(titles)
    return f"{', '.join(first)} and {last}" if first else last


def digits_module(path):
    """``sklearn.datasets`` with ``load_digits`` alone: the site brings the digits as a file of its own."""
    import numpy as np

    def load_digits(*, n_class=10, return_X_y=False, as_frame=False):
        if as_frame:
            raise NeedsFramework("load_digits(as_frame=True)", {"pandas"})
        with np.load(path) as stored:
            data, target = stored["data"].astype(np.float64), stored["target"].astype(np.int64)
        data, target = data[target < n_class], target[target < n_class]
        if return_X_y:
            return data, target
        return types.SimpleNamespace(data=data, target=target, images=data.reshape(-1, 8, 8))

    package, module = types.ModuleType("sklearn"), types.ModuleType("sklearn.datasets")
    package.__path__, package.datasets, module.load_digits = [], module, load_digits
    return {"sklearn": package, "sklearn.datasets": module}


def start(lacking, digits):
    """Begin a page. ``lacking``: JSON of module -> titles it needs; ``digits``: path of the .npz."""
    global page, namespace, count
    page = cells.Page({module: frozenset(titles) for module, titles in json.loads(lacking).items()})
    namespace = {"__name__": "__main__", "__builtins__": builtins}
    count = 0
    sys.modules.update(digits_module(digits))
    warnings.simplefilter("default")


def modules_of(source):
    """The modules that a cell imports, the first part of their names, as JSON; nothing where it cannot be read."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return "[]"
    return json.dumps(sorted({name.partition(".")[0] for node in ast.walk(tree) for name in cells.imported(node)}))


def run(source, hand_on):
    """Run one cell; ``hand_on`` is given each output as it comes. Returns JSON: how it ended.

    ``ok``; ``seconds``; ``lacks``: titles of what left-out lines need, with ``left``: the numbers of those lines;
    ``error``: name, message, line (0 where none of the cell's own) and the trace of the cell's own lines; with
    ``wants``: the package whose import failed.
    """
    global count
    count += 1
    name = f"<cell {count}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    before, began, answer = (sys.stdout, sys.stderr), time.perf_counter(), {"ok": True, "lacks": [], "left": []}
    sys.stdout, sys.stderr = printed, warned = Printed(hand_on), Printed(hand_on, "warning")
    try:
        code = "\n".join("" if line.startswith(cells.MAGIC) else line for line in source.split("\n"))
        parts = page.read(code)
        left = [part for part in parts if part.lacks]
        if not cells.only_imports(parts):
            answer["lacks"] = sorted(set().union(*(part.lacks for part in left)))
            answer["left"] = [part.node.lineno for part in left if not isinstance(part.node, cells.ast.Import)]
            sys.stdout = Printed(lambda _: None)  # half a print-out would be taken for the whole
        execute(parts, name, source, hand_on if sys.stdout is printed else lambda _: None)
    except BaseException as error:
        if isinstance(error, NeedsFramework):
            answer["lacks"] = sorted(error.lacks)
        if isinstance(error, ModuleNotFoundError):
            answer["wants"] = (error.name or "").partition(".")[0]
        answer |= {"ok": False, "error": described(error, name)}
    finally:
        printed.flush()
        warned.flush()
        sys.stdout, sys.stderr = before
        close_figures()
    answer["seconds"] = time.perf_counter() - began
    return json.dumps(answer)


def execute(parts, name, source, hand_on):
    """Run the statements of a cell that lack nothing; the value of the last one is shown, then the figures."""
    last = parts[-1] if parts else None
    for part in parts:
        if part.lacks:
            namespace.update({made: Missing(made, part.lacks) for made in part.makes})
        elif part is last and isinstance(part.node, ast.Expr) and not source.rstrip().endswith(";"):
            value = eval(compile(ast.Expression(part.node.value), name, "eval"), namespace)
            if value is not None:
                sys.stdout.flush()
                hand_on(shown(value))
        else:
            module = ast.Module([part.node], [])
            exec(compile(ast.fix_missing_locations(module), name, "exec"), namespace)
    sys.stdout.flush()
    show_figures(hand_on)


def shown(value):
    """A value as a notebook shows it."""
    if made := getattr(value, "_repr_html_", None):
        return {"kind": "html", "html": made()}
    return {"kind": "value", "text": repr(value)}


def show_figures(hand_on):
    """Hand on every open figure as a PNG with two dots for each pixel, as the recording has them."""
    if (plt := sys.modules.get("matplotlib.pyplot")) is None:
        return
    for number in plt.get_fignums():
        figure, drawn = plt.figure(number), io.BytesIO()
        figure.savefig(drawn, format="png", dpi=2 * figure.dpi, bbox_inches="tight", facecolor=figure.get_facecolor())
        hand_on({"kind": "png", "png": base64.b64encode(drawn.getvalue()).decode()})
    plt.close("all")


def close_figures():
    """Leave no figure behind a cell that failed."""
    if (plt := sys.modules.get("matplotlib.pyplot")) is not None:
        plt.close("all")


def described(error, name):
    """An exception as the page says it: its kind, its message, the line of the cell, and the cell's own lines."""
    line, steps = 0, []
    if isinstance(error, SyntaxError) and error.filename in (name, "<unknown>"):
        line = error.lineno or 0
        steps = [f"line {line}: {(error.text or '').rstrip()}"]
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith("<cell "):
            if frame.filename == name:
                line = frame.lineno
            place = "" if frame.filename == name else "of an earlier cell, "
            steps.append(f"{place}line {frame.lineno}: {frame.line}")
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return {"name": type(error).__name__, "message": message, "line": line, "steps": steps}
