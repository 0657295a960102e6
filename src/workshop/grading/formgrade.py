"""`python -m workshop formgrade DIR`: nbgrader's formgrader in a JupyterLab through which no file is written.

The formgrader needs the database and nothing else. Plain `jupyter lab` would also take files from whoever speaks with
the teacher's cookies: `nbgrader_config.py`, which the next grading runs, among them. Here files can be read and not
written, no terminal and no kernel starts, nothing is installed, and no configuration is kept.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from jupyter_server.services.config import ConfigManager
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.web import HTTPError

from workshop.book import BookError


def refuse(*_: Any, **__: Any) -> Any:
    """Refuse a request."""
    raise HTTPError(403, "this server shows what is there: it writes no file and runs no code")


class NoKernels(AsyncMappingKernelManager):
    """A manager of kernels that starts none. That none is listed is not enough: a server has its own Python's."""

    start_kernel = refuse


class NoChanges(ConfigManager):
    """A manager of the browser's configuration that changes none."""

    set = update = refuse


class ReadOnly(AsyncLargeFileManager):
    """A manager of contents that changes none."""

    save = delete = rename = new = new_untitled = copy = update = create_checkpoint = restore_checkpoint = refuse
    delete_file = rename_file = refuse


def command(course: Path) -> list[str]:
    """Return the command that serves a course folder."""
    return [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={course}",
        "--ServerApp.contents_manager_class=workshop.grading.formgrade.ReadOnly",
        "--ServerApp.config_manager_class=workshop.grading.formgrade.NoChanges",
        "--ServerApp.kernel_manager_class=workshop.grading.formgrade.NoKernels",
        "--ServerApp.terminals_enabled=False",
        "--LabApp.extension_manager=readonly",
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
