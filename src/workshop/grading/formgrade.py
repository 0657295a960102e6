"""`python -m workshop formgrade DIR`: nbgrader's formgrader in a JupyterLab through which no file is written.

The formgrader needs the database and nothing else. Plain `jupyter lab` would also take files from whoever speaks with
the teacher's cookies: `nbgrader_config.py`, which the next grading runs, among them. Here files can be read and not
written, no terminal starts, and no kernel is known.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from tornado.web import HTTPError

from workshop.book import BookError


class ReadOnly(AsyncLargeFileManager):
    """A manager of contents that changes none."""

    def refuse(self, *_: Any, **__: Any) -> Any:
        """Refuse a request."""
        raise HTTPError(403, "files of this course are not written through the browser")

    save = delete = rename = new = new_untitled = copy = update = create_checkpoint = restore_checkpoint = refuse
    delete_file = rename_file = refuse


def command(course: Path) -> list[str]:
    """Return the command that serves a course folder."""
    return [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={course}",
        "--ServerApp.contents_manager_class=workshop.grading.formgrade.ReadOnly",
        "--ServerApp.terminals_enabled=False",
        "--KernelSpecManager.ensure_native_kernel=False",
        "--KernelSpecManager.allowed_kernelspecs={'none'}",
        "--LabApp.default_url=/formgrader",
    ]


def formgrade(out: Path) -> int:
    """Serve the course in `out`, the folder of a grading, until it is interrupted; return the server's exit code."""
    course = (out / "nbgrader").resolve()
    if not (course / "nbgrader_config.py").is_file():
        raise BookError(f"{out}: no grading in it; first python -m workshop grade NAME SUBMISSIONS --out {out}")
    return subprocess.run(command(course), cwd=course, check=False).returncode
