"""Whether this machine can hold the environment: asked before anything is downloaded, answered in one line.

    python fit.py python                          # 0 where this interpreter will do
    python fit.py machine FOLDER DISK MEMORY      # 0 where the environment has room: both in units of 1000 bytes

Any Python 3 must be able to read this file, or it could not say that it is too old: no syntax beyond 3.6, and nothing
but the standard library.
"""

import os
import shutil
import sys
import tempfile

OLDEST, NEWEST = (3, 11), (3, 13)
"""TensorFlow has no wheels for others; pyproject.toml says the same."""


def unfit_python():
    """Return why this interpreter will not do, "" where it will."""
    found = sys.version_info[:2]
    if not OLDEST <= found <= NEWEST:
        return "is Python %d.%d" % found
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return "has no venv (Debian, Ubuntu: apt install python%d.%d-venv)" % found
    return ""


def memory():
    """Return the bytes of memory that processes here may use, None where nobody says."""
    found = []
    try:
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        pass
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):  # of a container
        try:
            with open(name) as file:
                found.append(int(file.read()))
        except (OSError, ValueError):
            pass
    return min(found) if found else None


def unfit_machine(folder, disk, needed):
    """Return why the environment cannot be made in this folder, "" where it can.

    disk, needed: bytes that must be free there, bytes of memory that a chapter takes.
    """
    if os.pathsep in folder or "\n" in folder:
        return "the path %r has a %r in it, which no virtual environment can have; clone elsewhere" % (
            folder,
            os.pathsep if os.pathsep in folder else "\n",
        )
    try:
        folder.encode("utf-8")
    except UnicodeEncodeError:
        return "the path %r is not UTF-8, and pip reads no other; clone elsewhere" % folder
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        return "nothing can be written to %s: %s" % (folder, error.strerror)
    if not os.path.isdir(os.path.join(folder, ".venv", "lib")):
        free = shutil.disk_usage(folder).free
        if free < disk:
            return "%d MB free on this disk; the environment needs %d MB" % (free // 10**6, disk // 10**6)
    there = memory()
    if there is not None and there < needed:
        return "%d MB of memory; both frameworks and a chapter need %d MB" % (there // 10**6, needed // 10**6)
    return ""


def main(arguments):
    """Print why not, if so; return the exit code."""
    if arguments[0] == "python":
        why = unfit_python()
    else:
        why = unfit_machine(arguments[1], int(arguments[2]) * 1000, int(arguments[3]) * 1000)
    if why:
        print(why)
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
