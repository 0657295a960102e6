"""Execute pages and write their notebooks: one direction only, whole or not at all."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
from ipykernel.compiler import get_tmp_hash_seed, murmur2_x86
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from workshop import notebook as nb
from workshop import pictures
from workshop.book import HEADER, SETUP_TAGS, Book, BookError, alone, replace_file
from workshop.environment import ENVIRONMENT
from workshop.markdown import code_lines

RECORDING = {"PYTEST_CURRENT_TEST": "workshop record"}
"""With this set ipykernel does not catch what C libraries write: so it is under nbval, so it must be here."""

CELL_TIMEOUT = 300  # seconds; a chapter's budget is 30, so this only ends what hangs

PROBE = """
import json, resource, sys
print(json.dumps({
    "modules": [name for name in sys.modules if name == "gradclinic" or name.startswith("gradclinic.")],
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
}))
"""


class ThisPython(AsyncKernelManager):
    """Starts the kernel of the running interpreter, whatever kernels the user has installed under the same name."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """Return the specification of the kernel."""
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python 3 (ipykernel)", language="python")


class Loop(asyncio.SelectorEventLoop):
    """Leaves signals to Python, so that Ctrl-C stops every page.

    nbclient (0.11, `async_setup_kernel`) takes SIGINT for itself, and of two notebooks only the later one gets it.
    """

    def add_signal_handler(self, *_: object) -> None:
        """Refuse, as loops without signals do; nbclient expects that."""
        raise NotImplementedError


SETUP_CELL = re.compile(r"^```\{code-cell\}[^\n]*\n:tags: \[remove-cell, setup\]\n.*?^```[ \t]*$", re.M | re.S)
"""A set-up cell in a page's text, with whatever code, or none."""


PLACE = re.compile(r"(?:Cell In\[(\d+)\], line |/ipykernel_\d+/(\d+)\.py:)(\d+)")
"""Where a failure happened: count of the cell (in a traceback) or hash of its code (in a warning), line in it."""


class Recording(Exception):
    """Why a page could not be recorded: page, line, cell, the code on that line, error."""


def complete(book: Book, page: str) -> None:
    """Write into the page what is the same on all: the header, and the set-up cell for the book's address."""
    before = text = book.text(page)
    tags = ", ".join(SETUP_TAGS)
    cell = f"```{{code-cell}} ipython3\n:tags: [{tags}]\n{book.setup}\n```"
    if text.startswith("---\n"):
        text = HEADER + text[text.index("\n---\n", 4) + 5 :]
    if (match := SETUP_CELL.search(text)) and nb.code_sources(match[0]) != [book.setup]:
        text = text[: match.start()] + cell + text[match.end() :]
    if text != before:
        replace_file(book.source(page), text)


async def execute(book: Book, page: str) -> tuple[list[list], dict[str, str], float, int]:
    """Run the page in a clean kernel; return outputs, hashes of imported modules, seconds, peak memory in bytes."""
    text = book.text(page)
    sources = nb.code_sources(text)
    run = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in [*sources, PROBE]])
    folder = book.notebook(page).parent
    folder.mkdir(parents=True, exist_ok=True)
    client = NotebookClient(
        run,
        kernel_manager_class=ThisPython,
        timeout=CELL_TIMEOUT,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
    )
    reached = [0]
    client.on_cell_execute = lambda cell, cell_index: reached.__setitem__(0, cell_index)

    def problem(cell: int, what: str, told: str = "") -> Recording:
        """Name the line that `told` (a traceback, stderr) blames, the cell's first where it blames none."""
        if cell >= len(sources):
            return Recording(f"book/{page}.md:1: after the last cell: the recorder's own probe\n    {what}")
        lines = sources[cell].splitlines() or [""]
        names = {str(cell + 1), str(murmur2_x86(sources[cell], get_tmp_hash_seed()))}
        places = PLACE.findall(re.sub(r"\x1b\[[0-9;]*m", "", told))
        line = next((int(line) for count, code, line in places if names & {count, code}), 1)
        where = f"book/{page}.md:{code_lines(text)[cell] + line - 1}: cell {cell + 1}"
        return Recording(f"{where}: {lines[line - 1].strip()}\n    {what}")

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as own, open(os.path.join(own, "log"), "wb+") as log:
        environment = os.environ | ENVIRONMENT | RECORDING | {"IPYTHONDIR": own}  # nobody's start-up files
        client.create_kernel_manager()
        # Sockets in a folder of our own: no port to collide on, no network needed, not even the loopback.
        client.km.transport, client.km.connection_file = "ipc", os.path.join(own, "kernel.json")
        try:
            # What C libraries say goes to the log: it is no output, and would break up the progress lines.
            await client.async_execute(env=environment, stdout=log, stderr=log)
        except CellExecutionError as error:
            raise problem(reached[0], f"{error.ename}: {error.evalue}", error.traceback) from error
        except CellTimeoutError as error:
            raise problem(reached[0], f"still running after {CELL_TIMEOUT} s") from error
        except DeadKernelError as error:
            if asyncio.current_task().cancelling():  # nbclient takes an interruption for a death
                raise asyncio.CancelledError from error
            log.seek(0)
            last = log.read().decode(errors="replace").strip()[-2000:]
            raise problem(reached[0], f"the kernel died (out of memory?)\n{last}") from error
    seconds = time.perf_counter() - start
    outputs = [pictures.small(nb.normalised(cell.outputs, 0)) for cell in run.cells]
    for cell, output in enumerate(outputs[:-1]):
        for what in nb.output_problems(output):
            told = "".join(piece["text"] for piece in output if piece.get("name") == "stderr")
            raise problem(cell, what, told)
    probe = json.loads(outputs.pop()[0]["text"])
    modules = {name: book.modules[name] for name in sorted(probe["modules"]) if name in book.modules}
    return outputs, modules, seconds, probe["peak"]


async def record_page(book: Book, page: str, reason: str) -> str:
    """Bring one notebook up to date; return what was done, in a few words."""
    path = book.notebook(page)
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    if reason == "text":
        old = nb.read(book, page)
        made = nb.assemble(book, page, nb.recorded_outputs(old), old.metadata["workshop"]["modules"])
        replace_file(path, made)
        return "words changed, code did not: not run"
    text = book.text(page)
    outputs, modules, seconds, peak = await execute(book, page)
    if book.text(page) != text:
        raise Recording(f"book/{page}.md:1: was edited while it ran; record it again")
    made = nb.assemble(book, page, outputs, modules)
    same = nb.read(book, page)
    new = same is None or nb.recorded_outputs(same) != outputs_of(made) or page not in measurements(book)
    if new or reason == "asked":
        note_measurement(book, page, seconds, peak)
    if made != before:
        replace_file(path, made)
    return f"{seconds:5.1f} s {peak / 2**20:6.0f} MB  {'recorded' if made != before else 'same as before'} ({reason})"


def outputs_of(text: str) -> list[list]:
    """Return the outputs in the text of a notebook."""
    return nb.recorded_outputs(nbformat.reads(text, as_version=4))


def measurements_file(book: Book) -> Path:
    """Return the path of the committed time and memory of each page."""
    return book.root / "book" / "_static" / "execution.json"


def measurements(book: Book) -> dict[str, dict]:
    """Return seconds (to 0.5) and peak megabytes (to 10) of each page.

    They are those of its last recording with new outputs, or on request (``--all``).
    """
    path = measurements_file(book)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def note_measurement(book: Book, page: str, seconds: float, peak: int) -> None:
    """Keep what a page took; coarse, and only when its outputs changed or on request, so that the file rarely does."""
    entry = {"megabytes": round(peak / 2**20 / 10) * 10, "seconds": max(0.5, round(seconds * 2) / 2)}
    kept = {name: value for name, value in measurements(book).items() if name in book.executed}
    text = json.dumps(kept | {page: entry}, indent=1, sort_keys=True) + "\n"
    replace_file(measurements_file(book), text)


def record(book: Book, wanted: Sequence[str] = (), *, everything: bool = False, jobs: int = 2) -> int:
    """Record what is out of date, `jobs` pages at a time; print a line per page; return the number of failures.

    wanted: pages by path or name, all where empty; everything: record whether out of date or not.
    """
    with alone(book):
        nb.legible(book)
        for page in (pages := [book.find(name) for name in wanted] or book.executed):
            if page not in book.executed:
                why = "is an assignment: release it" if page in book.assignments else "has no code cells"
                raise BookError(f"book/{page}.md: {why}, so nothing to record")
            complete(book, page)
        due = {page: "asked" if everything else nb.stale(book, page) for page in pages}
        due = {page: reason for page, reason in due.items() if reason}
        if not due:
            print(f"record: nothing to do, {len(pages)} of {len(pages)} pages are up to date")
            return 0
        import matplotlib.font_manager  # noqa: F401  builds the font cache once, where its message harms no page

        with asyncio.Runner(loop_factory=Loop) as runner:
            failures = runner.run(record_all(book, due, jobs))
        print(f"record: {len(due) - failures} of {len(due)} pages recorded, {len(pages) - len(due)} were up to date")
        return failures


async def record_all(book: Book, due: dict[str, str], jobs: int) -> int:
    """Record the pages of `due` (page: reason), `jobs` at a time; return the number of failures."""
    slots, failures, done = asyncio.Semaphore(jobs), 0, 0
    width = max(map(len, due))

    async def one(page: str, reason: str) -> None:
        nonlocal failures, done
        async with slots:
            try:
                outcome = await record_page(book, page, reason)
            except Recording as error:
                failures += 1
                outcome = f"FAILED, its notebook is as it was\n  {error}"
            done += 1
            print(f"[{done:>{len(str(len(due)))}}/{len(due)}] {page:<{width}}  {outcome}", flush=True)

    await asyncio.gather(*(one(page, reason) for page, reason in due.items()))
    return failures
