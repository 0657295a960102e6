"""What a teacher's browser shows of a submission: ten payloads, in Chromium, on the formgrader's own page."""

import asyncio
import http.client
import json
import os
import re
import socket
import subprocess
import time

import pytest
from nbconvert.exporters import HTMLExporter
from nbformat import v4
from tornado.web import HTTPError
from traitlets.config import Config

from workshop.__main__ import main
from workshop.browser import find_chromium
from workshop.grading import shown
from workshop.grading.course import CONFIGURATION, SHOWN, Course
from workshop.grading.formgrade import ReadOnly, command

OWN = "window.owned = 1"
BARE = OWN.replace(" ", "")
PAYLOADS = [
    f'<img src="x" onerror="{OWN}">',
    f"<script>{OWN}</script>",
    f'<svg onload="{OWN}"></svg><svg><script>{OWN}</script></svg>',
    f'<iframe srcdoc="<script>parent.{OWN.partition(".")[2]}; parent.window.owned = 1</script>"></iframe>',
    f"[click me](javascript:{BARE})",
    f'<a href="jav&#x09;ascript:{BARE}">click me</a>',
    f'<details open ontoggle="{OWN}"><summary onclick="{OWN}">click me</summary></details>',
    f'<form action="javascript:{BARE}"><button>click me</button></form>',
    f'<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=x onerror={BARE}&gt;">',
    rf"$\href{{javascript:{BARE}}}{{x}}$ and `<img src=x onerror={BARE}>`",
    f'<object data="data:text/html,<script>{OWN}</script>"></object><embed src="javascript:{OWN}">',
    f'<b style="background:url(javascript:{OWN})" onmouseover="{OWN}">click me</b><base href="https://example.org/">',
]


def formgrader_page(sources, codes=()):
    """Return the page that the formgrader makes of a notebook with these text cells, by the course's configuration.

    codes: sources of code cells that a person grades, behind them.
    """
    from nbgrader.server_extensions.formgrader import handlers

    config = Config()
    exec(CONFIGURATION.format(shown=SHOWN), {"get_config": lambda: config})
    config.HTMLExporter.template_name = "formgrade"
    config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    meta = {"grade": True, "solution": True, "locked": False, "points": 3, "schema_version": 3, "task": False}
    cells = [
        v4.new_markdown_cell(source, metadata={"nbgrader": meta | {"grade_id": f"a{number}", "cell_type": "markdown"}})
        for number, source in enumerate(sources)
    ]
    cells += [
        v4.new_code_cell(source, metadata={"nbgrader": meta | {"grade_id": f"c{number}", "cell_type": "code"}})
        for number, source in enumerate(codes)
    ]
    names = {"assignment_id": "a", "notebook_id": "a", "submission_id": "0", "index": 0, "total": 1, "base_url": ""}
    names |= {"student": "s", "last_name": shown.plain_name(PAYLOADS[0]), "first_name": shown.plain_name(PAYLOADS[1])}
    resources = names | {"notebook_path": "x", "metadata": {"name": "a"}}
    return HTMLExporter(config=config).from_notebook_node(v4.new_notebook(cells=cells), resources=resources)[0]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_that_could_run_is_left_in_what_is_shown(payload):
    made = shown.markdown2html({}, payload)
    tags = re.findall(r"<([a-z0-9]+)([^<>]*)>", made)
    assert {tag for tag, _ in tags} <= shown.TAGS
    for _, attributes in tags:
        assert not re.search(r"\bon\w+\s*=|javascript|style\s*=|srcdoc", attributes, re.I)
    assert "\\href" not in made


def test_what_honest_answers_need_is_shown():
    text = "Because $a < b$ and *so*: [the paper](https://example.org/x)\n\n"
    text += "| a | b |\n|---|---|\n| 1 | `x<y` |\n\n$$\\delta_l$$"
    made = shown.markdown2html({}, text)
    for piece in (
        "<em>so</em>",
        '<a href="https://example.org/x">',
        "<td>1</td>",
        "<code>x&lt;y</code>",
        r"$$\delta_l$$",
    ):
        assert piece in made
    cell = {"attachments": {"p.png": {"image/png": "iVBORw0KGgo="}}}
    assert "data:image/png;base64,iVBORw0KGgo=" in shown.markdown2html({"cell": cell}, "![a plot](attachment:p.png)")
    assert "src" not in shown.markdown2html({}, "![a spy](https://example.org/pixel.png)")
    assert shown.plain_name("O'Brien <b>") == "O'Brien  b"


def test_a_rubric_stands_beside_its_answer_in_the_formgrader_and_nowhere_else(tmp_path, monkeypatch):
    path = shown.rubrics(tmp_path, "a")
    path.parent.mkdir()
    path.write_text(json.dumps({"a0": "**Rubric.** One for $x$; <script>no</script>"}))
    monkeypatch.chdir(tmp_path)
    page = formgrader_page(["The answer.", "Another."])
    assert page.count('class="rubric"') == 1
    assert page.index("The answer.") < page.index("<strong>Rubric.</strong>") < page.index("Another.")
    assert "<script>no" not in page
    cell = {"source": "The answer.", "metadata": {"nbgrader": {"grade_id": "a0"}}}
    feedback = {"cell": cell, "resources": {"nbgrader": {"assignment": "a"}}}
    assert "Rubric" not in shown.markdown2html(feedback, "The answer.")
    there = {"cell": cell, "resources": {"assignment_id": "a", "submission_id": "0"}}
    assert "Rubric" in shown.markdown2html(there, "The answer.")
    assert "Rubric" not in shown.markdown2html(there, "A comment.")
    path.unlink()
    assert "rubric" not in shown.markdown2html(there, "The answer.")


def test_the_masters_code_and_its_rubric_stand_beside_code_that_a_person_grades(tmp_path, monkeypatch):
    path = shown.rubrics(tmp_path, "a")
    path.parent.mkdir()
    path.write_text(json.dumps({"c0": "# One point for the axes.\nplot(x < 1)"}))
    monkeypatch.chdir(tmp_path)
    page = formgrader_page(["Words."], ["draw(y)  # <script>no</script>", "other(z)"])
    assert page.count('class="rubric"') == 1
    text = re.sub(r"<[^>]*>", "", page)
    places = [text.index(piece) for piece in ("draw(y)", "# One point for the axes.\nplot(x &lt; 1)", "other(z)")]
    assert places == sorted(places)
    assert "<script>no" not in page
    cell = {"source": "draw(y)", "metadata": {"nbgrader": {"grade_id": "c0"}}}
    feedback = {"cell": cell, "resources": {"nbgrader": {"assignment": "a"}}}
    assert "axes" not in shown.highlight_code(feedback, "draw(y)", metadata=cell["metadata"])


def test_a_course_folder_of_before_learns_what_is_shown(tmp_path):
    course = Course(tmp_path, "tiny")
    old = 'c = get_config()\nc.HTMLExporter.filters = {"markdown2html": "workshop.grading.shown.markdown2html"}\n'
    (tmp_path / "nbgrader_config.py").write_text(old)
    for _ in range(2):
        course.configure()
        text = (tmp_path / "nbgrader_config.py").read_text()
        assert text.startswith(old)
        assert text.count("shown.highlight_code") == 1
    assert course.config.HTMLExporter.filters["highlight_code"] == "workshop.grading.shown.highlight_code"


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on the PATH")
def test_in_chromium_none_of_ten_payloads_runs(tmp_path):
    """The page is opened, every link and button in an answer is clicked, and nothing has run."""
    sync_api = pytest.importorskip("playwright.sync_api")
    page_file = tmp_path / "page.html"
    page_file.write_text(formgrader_page(PAYLOADS), encoding="utf-8")
    control = tmp_path / "control.html"
    control.write_text(f'<img src="x" onerror="{OWN}">', encoding="utf-8")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(control.as_uri())
        page.wait_for_function("window.owned === 1", timeout=20_000)  # a payload that runs is noticed
        page.goto(page_file.as_uri(), wait_until="domcontentloaded")
        answers = page.locator(".text_cell_render")
        assert answers.count() == len(PAYLOADS)
        page.evaluate(
            """for (const part of document.querySelectorAll('.text_cell_render *')) {
                 part.dispatchEvent(new MouseEvent('mouseover', {bubbles: true})); part.click(); }"""
        )
        page.wait_for_timeout(500)
        assert page.evaluate("typeof window.owned") == "undefined"
        assert page.url == page_file.as_uri()
        assert page.locator(".text_cell_render script, .text_cell_render iframe, .text_cell_render object").count() == 0
        browser.close()


def test_the_formgraders_server_reads_files_and_writes_none(tmp_path):
    (tmp_path / "nbgrader_config.py").write_text("c = 1")
    manager = ReadOnly(root_dir=str(tmp_path))
    model = {"type": "file", "format": "text", "content": "import os"}
    assert asyncio.run(manager.get("nbgrader_config.py"))["content"] == "c = 1"
    for attempt in (
        lambda: manager.save(model, "nbgrader_config.py"),
        lambda: manager.new(model, "x.py"),
        lambda: manager.delete("nbgrader_config.py"),
        lambda: manager.rename("nbgrader_config.py", "x"),
        lambda: manager.copy("nbgrader_config.py"),
    ):
        with pytest.raises(HTTPError) as refused:
            asyncio.run(attempt())
        assert refused.value.status_code == 403
    assert [path.name for path in tmp_path.iterdir()] == ["nbgrader_config.py"]


REFUSED = [
    ("PUT", "/api/contents/nbgrader_config.py", {"type": "file", "format": "text", "content": "import os"}),
    ("POST", "/api/contents/", {"type": "notebook"}),
    ("PATCH", "/api/contents/nbgrader_config.py", {"path": "x.py"}),
    ("DELETE", "/api/contents/nbgrader_config.py", None),
    ("POST", "/api/contents/nbgrader_config.py/checkpoints", {}),
    ("POST", "/api/kernels", {"name": "python3"}),
    (
        "POST",
        "/api/sessions",
        {"path": "a.ipynb", "type": "notebook", "name": "a", "kernel": {"name": "python3"}},
    ),
    ("POST", "/api/terminals", {}),
    ("PATCH", "/api/config/x", {"a": 1}),
    ("POST", "/lab/api/extensions", {"cmd": "install", "extension_name": "no-such-extension"}),
]


def test_whoever_has_the_teachers_cookies_writes_nothing_and_runs_nothing(tmp_path):
    """The real server, asked with its own token for all that a script in the teacher's browser could ask for."""
    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--no-browser", "--allow-root", "--ServerApp.token=t", f"--ServerApp.port={port}"]
    variables = os.environ | {"JUPYTER_CONFIG_DIR": str(tmp_path / "settings")}

    def ask(method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Authorization": "token t", "Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        return answer.status, said

    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen([*command(tmp_path), *options], cwd=tmp_path, env=variables, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 120
        while True:
            try:
                status, _ = ask("GET", "/api/status")
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < until, (tmp_path / "log").read_text()
                time.sleep(0.3)
        assert status == 200
        assert ask("GET", "/api/contents/nbgrader_config.py")[0] == 200
        assert ask("GET", "/formgrader/api/assignments") == (200, b"[]")
        answers = {f"{method} {path}": ask(method, path, body)[0] for method, path, body in REFUSED}
        assert {what: status for what, status in answers.items() if status < 400} == {}
        assert ask("GET", "/api/kernels") == ask("GET", "/api/sessions") == (200, b"[]")
    finally:
        server.terminate()
        server.wait()
    assert (tmp_path / "nbgrader_config.py").read_text() == "c = get_config()\n"
    assert not list((tmp_path / "settings").rglob("x.json"))


def test_the_formgrader_of_nothing_is_refused(tmp_path, capsys):
    assert main(["formgrade", str(tmp_path)]) == 1
    assert "no grading in it" in capsys.readouterr().err
