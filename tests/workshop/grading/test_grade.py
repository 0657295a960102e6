"""The whole command: nothing lost, nothing twice, and nbgrader's own tools see the result. No bubblewrap needed."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
import zipfile

import jupytext
import pytest
from corpus import HERE, LIMITS, MASTER, POINTS, dump, student, written
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from traitlets.config import Config

from conftest import Graded, hand_in
from workshop.__main__ import main
from workshop.book import Book, BookError
from workshop.grading import grade as command
from workshop.grading import server, tables
from workshop.grading.course import slug
from workshop.grading.grade import grade
from workshop.grading.sandbox import SandboxError

ROSTER = "id,last_name,first_name,email\nada,Lovelace,Ada,ada@example.org\nzoe,=cmd|x,Zoe,+1@example.org\nright,,,\n"
NAMES = [
    "right",
    "untouched",
    "cut_off",
    "nothing_in_it",
    "code_in_the_answer",
    "exits_in_a_cell",
    "sys_exit_in_a_cell",
]


@pytest.fixture(scope="module")
def roster(tmp_path_factory):
    path = tmp_path_factory.mktemp("roster") / "roster.csv"
    path.write_text(ROSTER)
    return path


@pytest.fixture(scope="module")
def once(book, roster, tmp_path_factory):
    """A folder graded once, for tests that only look, or that come back to it."""
    source = hand_in(tmp_path_factory.mktemp("in"), NAMES)
    (source / "=1+1").mkdir()
    (source / "=1+1" / "@x.ipynb").write_bytes(written())
    out = tmp_path_factory.mktemp("graded")
    return Graded(out, source, run(book, source, out, roster=roster))


def run(book, source, out, **options):
    options = {"isolation": "process", "limits": LIMITS} | options
    return grade(book, "tiny", source, out, **options)


def contents(folder):
    """Return every file's bytes and time of change, but of the database, which only has to say the same."""
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name not in {".lock", "gradebook.db"}
    }


def test_every_name_and_every_folder_has_one_row(once):
    assert once.code == 0
    assert set(once.rows) == {*NAMES, "'=1+1", "ada", "zoe"}
    status = {name: row["status"] for name, row in once.rows.items()}
    assert status == dict.fromkeys(once.rows, "ok") | {
        "ada": "missing",
        "zoe": "missing",
        "nothing_in_it": "missing",
        "cut_off": "unreadable",
        "exits_in_a_cell": "review",
    }
    row = once.rows["right"]
    assert row["max_score"] == f"{sum(POINTS.values()) + 3:g}"
    assert row["score"] == row["automatic"] == f"{sum(POINTS.values()):g}"
    assert (row["waiting"], row["manual"], row["why"]) == ("1", "0", "")
    assert (row["isolation"], row["file"], len(row["sha256"])) == ("process", "right/tiny.ipynb", 64)
    assert "not in the roster" in once.rows["untouched"]["flags"]
    assert once.rows["untouched"]["score"] == "0"
    for name in ("ada", "cut_off"):
        assert once.rows[name]["score"] == once.rows[name]["centre-fresh"] == ""


def test_no_field_is_a_formula(once):
    for name in ("gradebook.csv", "canvas.csv", "moodle.csv"):
        with (once.out / name).open(newline="") as file:
            for row in csv.reader(file):
                assert not [field for field in row if field.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert once.rows["'=1+1"]["status"] == "ok"
    assert once.rows["zoe"]["email"] == "'+1@example.org"
    assert tables.safe(" =1") == "' =1"
    assert tables.safe("a\n=1\t") == "a =1 "
    assert tables.safe(-1.5) == "-1.5"
    assert tables.safe(None) == ""


def test_tables_for_platforms_leave_unknown_scores_blank(once):
    with (once.out / "canvas.csv").open(newline="") as file:
        canvas = {row["SIS Login ID"]: row["tiny"] for row in csv.DictReader(file)}
    with (once.out / "moodle.csv").open(newline="") as file:
        moodle = {row["ID number"]: row["tiny"] for row in csv.DictReader(file)}
    assert canvas.pop("") == "13"
    assert canvas == moodle
    assert (canvas["right"], canvas["untouched"], canvas["ada"], canvas["cut_off"]) == ("", "0", "", "")
    page = (once.out / "feedback" / "right.html").read_text(encoding="utf-8")
    assert "10 of 13 points so far: provisional, 1 answer waits for a person" in page


def test_grading_twice_changes_nothing(once, book, roster):
    before = contents(once.out)
    assert run(book, once.source, once.out, roster=roster) == 0
    assert contents(once.out) == before


def test_what_was_handed_in_anew_is_graded_anew_and_nothing_else(once, book, roster, tmp_path):
    out, source = tmp_path / "out", tmp_path / "in"
    shutil.copytree(once.out, out)
    shutil.copytree(once.source, source)
    (source / "untouched" / "tiny.ipynb").write_bytes(written())
    before = contents(out / "nbgrader")
    assert run(book, source, out, roster=roster) == 0
    after = contents(out / "nbgrader")
    changed = {path.parts[1] for path in after if after[path] != before.get(path) and path.parts[0] == "autograded"}
    assert changed == {"untouched"}
    rows = Graded(out, source, 0).rows
    assert rows["untouched"]["score"] == "10"
    assert rows["untouched"]["seed"] == rows["right"]["seed"] == once.rows["right"]["seed"]


def test_again_draws_a_fresh_seed(once, book, tmp_path):
    out, source = tmp_path / "out", tmp_path / "in"
    shutil.copytree(once.out, out)
    shutil.copytree(once.source / "right", source / "right")
    run(book, source, out, again=True)
    assert Graded(out, source, 0).rows["right"]["seed"] != once.rows["right"]["seed"]
    run(book, source, out, seed=77)
    assert Graded(out, source, 0).rows["right"]["seed"] == "77"


def test_a_killed_run_goes_on_where_it_was(book, tmp_path):
    source = hand_in(tmp_path / "in", ["right", "untouched", "warns_and_prints"])
    (source / "slow").mkdir()
    (source / "slow" / "tiny.ipynb").write_bytes(written(limit="import time\ntime.sleep(3)\nLIMIT = 0.25"))
    out = tmp_path / "out"
    program = "import sys; from workshop.__main__ import main; sys.exit(main())"
    arguments = ["--root", str(book.root), "grade", "tiny", str(source), "--out", str(out), "--isolation", "process"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert "right" in process.stdout.readline()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    kept = {path: path.stat().st_mtime_ns for path in (out / "nbgrader" / "judgements" / "tiny").iterdir()}
    assert kept
    assert not (out / "gradebook.csv").exists()
    assert main(arguments) == 0
    assert {row["status"] for row in Graded(out, source, 0).rows.values()} == {"ok"}
    # Whoever was judged is not judged again; the last one may have been on its way into the record.
    judged = out / "nbgrader" / "judgements" / "tiny"
    limits = Graded(out, source, 0).rows
    assert len(list(judged.glob("*.json"))) == len(limits) == 4


def test_the_environment_need_not_be_activated(book, tmp_path, monkeypatch):
    """nbgrader calls alembic by its name when it makes a database."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert run(book, hand_in(tmp_path / "in", ["nothing_in_it"]), tmp_path / "out") == 0


def test_two_gradings_do_not_share_a_folder(book, once):
    fcntl = pytest.importorskip("fcntl")
    with open(once.out / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BookError, match="another grading"):
            run(book, once.source, once.out)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_grader_that_fails_gives_no_points_and_says_so(book, tmp_path, monkeypatch, jobs):
    source = hand_in(tmp_path / "in", ["right", "cut_off"])
    calls = []

    def broken(task):
        calls.append(task["key"])
        return {"key": task["key"], "error": "the sandbox does not start: full disk"} if task["key"] else rehearse(task)

    rehearse = server.judge
    monkeypatch.setattr(command.server, "judge", broken)
    if jobs == 2:  # processes of a pool do not see the patch, so the rehearsal fails instead
        monkeypatch.setattr(command.server, "judge", lambda task: {"key": "", "error": "the sandbox does not start"})
    assert run(book, source, tmp_path / "out", jobs=jobs) == 1
    rows = Graded(tmp_path / "out", source, 1).rows
    assert rows["right"]["status"] == "grader-error"
    assert "does not start" in rows["right"]["flags"]
    assert rows["right"]["score"] == rows["right"]["centre-public"] == ""
    assert rows["cut_off"]["status"] == "unreadable"
    feedback = (tmp_path / "out" / "feedback" / "right.html").read_text(encoding="utf-8")
    assert "not a zero" in feedback
    with Gradebook(f"sqlite:///{tmp_path / 'out' / 'nbgrader' / 'gradebook.db'}") as gradebook:
        grades = gradebook.find_submission("tiny", "right").notebooks[0].grades
        assert all(grade.auto_score is None and grade.needs_manual_grade for grade in grades)
    monkeypatch.undo()
    assert run(book, source, tmp_path / "out") == 0
    assert Graded(tmp_path / "out", source, 0).rows["right"]["score"] == "10"

    def refused(*_):
        raise SandboxError("gone")

    monkeypatch.setattr(command, "choose", refused)  # a later failure, and back: nothing is judged twice for it
    assert run(book, source, tmp_path / "out") == 1
    assert Graded(tmp_path / "out", source, 1).rows["right"]["score"] == ""
    monkeypatch.undo()
    monkeypatch.setattr(command.server, "judge", broken)
    assert run(book, source, tmp_path / "out") == 0
    assert Graded(tmp_path / "out", source, 0).rows["right"]["score"] == "10"


def test_a_master_that_fails_its_own_checks_costs_nobody_a_point(tmp_path):
    text = jupytext.writes(MASTER, fmt="md:myst").replace("assert LIMIT == 0.25", "assert LIMIT == 0.26")
    folder = tmp_path / "assignments" / "tiny"
    folder.mkdir(parents=True)
    (folder / "master.md").write_text(text)
    source = hand_in(tmp_path / "in", ["right"])
    assert run(Book(tmp_path), source, tmp_path / "out") == 1
    row = Graded(tmp_path / "out", source, 1).rows["right"]
    assert row["status"] == "grader-error"
    assert "limit-value (AssertionError" in row["flags"]


def test_without_a_sandbox_it_says_so_loudly(book, tmp_path, capsys):
    run(book, hand_in(tmp_path / "in", ["nothing_in_it"]), tmp_path / "out")
    assert "WARNING: no sandbox" in capsys.readouterr().err


def nbgrader(folder, *arguments):
    program = "from nbgrader.apps.nbgraderapp import main; main()"
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )


@pytest.fixture
def course(once, tmp_path):
    """A copy of the graded folder, to grade by hand in."""
    shutil.copytree(once.out, tmp_path / "out")
    return tmp_path / "out" / "nbgrader"


@pytest.mark.parametrize("exporter", ["nbgrader.plugins.CsvExportPlugin", ""])
def test_nbgraders_export_sees_the_marks(course, exporter):
    """nbgrader's own exporter, and the one that this course sets as the default: it does not write 0 for "unknown"."""
    nbgrader(course, "export", "--to", "grades.csv", *(["--exporter", exporter] if exporter else []))
    with (course / "grades.csv").open(newline="") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    # An answer in words still waits, so nobody knows the score: nbgrader's own exporter takes what there is for it.
    assert (rows["right"]["score"], float(rows["right"]["max_score"])) == ("10.0" if exporter else "", 13)
    assert float(rows["untouched"]["score"]) == 0
    assert {"ada", slug("=1+1")} <= set(rows)
    assert rows["ada"]["first_name"] == "Ada"
    assert rows["ada"]["score"] == ("0.0" if exporter else "")
    assert rows["right"]["timestamp"].endswith(" UTC") == (not exporter)


def test_the_formgrader_lists_them(course):
    """What its pages show comes from here: who was graded, who waits for a person."""
    config = Config()
    config.CourseDirectory.root = str(course)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        listed = {entry["student"]: entry for entry in NbGraderAPI(config=config).get_submissions("tiny")}
    assert listed["right"]["autograded"]
    assert listed["right"]["needs_manual_grade"]
    assert (listed["right"]["score"], listed["right"]["max_code_score"]) == (10, 10)
    assert not listed["untouched"]["needs_manual_grade"]  # an untouched answer is worth nothing to anybody
    assert "ada" not in listed


def test_nbgraders_feedback_shows_nothing_hidden(course):
    nbgrader(course, "generate_feedback", "tiny", "--student", "untouched")
    text = (course / "feedback" / "untouched" / "tiny" / "tiny.html").read_text(encoding="utf-8")
    assert "Hidden check" in text
    assert "secret" not in text


def test_a_manual_grade_survives_and_counts(course, once, book, roster):
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        for name, points in (("why", 2.5), ("limit-value", 0.5)):
            grade_ = gradebook.find_grade(name, "tiny", "tiny", "right")
            grade_.manual_score, grade_.needs_manual_grade = points, False
        gradebook.find_comment("why", "tiny", "tiny", "right").manual_comment = "Good & <b>short</b>."
        gradebook.db.commit()
    out = course.parent
    for options in ({}, {"again": True}):
        assert run(book, once.source, out, roster=roster, **options) == 0
        row = Graded(out, once.source, 0).rows["right"]
        assert (row["why"], row["limit-value"], row["automatic"], row["manual"]) == ("2.5", "0.5", "10", "3")
        assert (row["score"], row["waiting"]) == ("12", "0")
    page = (out / "feedback" / "right.html").read_text(encoding="utf-8")
    assert "Good &amp; &lt;b&gt;short&lt;/b&gt;." in page


def test_extra_credit_counts(course, once, book, roster):
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        grade_ = gradebook.find_grade("limit-value", "tiny", "tiny", "right")
        grade_.extra_credit = 1.5
        gradebook.db.commit()
    before = float(once.rows["right"]["automatic"])
    assert run(book, once.source, course.parent, roster=roster) == 0
    row = Graded(course.parent, once.source, 0).rows["right"]
    assert (float(row["automatic"]), float(row["score"])) == (before, before + 1.5)


PENALTY = """
from nbgrader.plugins import BasePlugin

class Hourly(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return min(score, total_seconds_late / 3600)
"""


def test_a_penalty_plugin_of_nbgraders_applies(course, book, tmp_path):
    source = hand_in(tmp_path / "in", ["right"])
    (source / "right" / "timestamp.txt").write_text("2026-03-01 14:30:00 UTC")
    (course / "hourly.py").write_text(PENALTY)
    with (course / "nbgrader_config.py").open("a") as file:
        file.write('c.AssignLatePenalties.plugin_class = "hourly.Hourly"\n')
    sys.path.insert(0, str(course))
    try:
        run(book, source, course.parent, due="2026-03-01T13:00:00+01:00", again=True)
    finally:
        sys.path.remove(str(course))
    row = Graded(course.parent, source, 0).rows["right"]
    assert (row["penalty"], row["score"], row["submitted"]) == ("2.5", "7.5", "2026-03-01 14:30:00 UTC")
    assert "late by 2.5 h" in row["flags"]
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        grade_ = gradebook.find_grade("why", "tiny", "tiny", "right")
        grade_.manual_score, grade_.needs_manual_grade = 0.0, False
        gradebook.db.commit()
    nbgrader(course, "export", "--to", "grades.csv")
    with (course / "grades.csv").open(newline="") as file:
        exported = {row["student_id"]: row for row in csv.DictReader(file)}["right"]
    assert (exported["raw_score"], exported["score"]) == ("10", "7.5")


def test_nbgraders_own_autograde_repeats_the_judges_marks_and_runs_nothing(course):
    nbgrader(course, "autograde", "tiny", "--student", "exits_in_a_cell", "--force")
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        assert gradebook.find_submission("tiny", "exits_in_a_cell").score == 10
    path = course / "submitted" / "right" / "tiny" / "tiny.ipynb"
    path.write_text(path.read_text().replace('"file": "', '"file": "0'))
    with pytest.raises(subprocess.CalledProcessError) as error:
        nbgrader(course, "autograde", "tiny", "--student", "right", "--force")
    assert "no judgement of this file" in error.value.stderr


def test_a_time_that_is_none_is_refused(book, tmp_path, capsys):
    arguments = [
        "--root",
        str(book.root),
        "grade",
        "tiny",
        str(tmp_path),
        "--out",
        str(tmp_path / "o"),
        "--due",
        "soon",
    ]
    assert main(arguments) == 1
    assert "due: got 'soon'" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_judges(book, tmp_path):
    from distributed import LocalCluster

    source = hand_in(tmp_path / "in", ["right", "untouched", "exits_in_a_cell", "loop_in_a_function"])
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=None
    ) as cluster:
        assert run(book, source, tmp_path / "out", dask=cluster.scheduler_address) == 0
    server.dismiss()
    rows = Graded(tmp_path / "out", source, 0).rows
    assert {name: row["automatic"] for name, row in rows.items()} == {
        "right": "10",
        "untouched": "0",
        "exits_in_a_cell": "10",
        "loop_in_a_function": "6",
    }


def test_names_fit_for_nbgrader_stay_different():
    names = ["ada", "a/da", "a*da", "..", ".", "", "=1+1", "[x]", "Ada Lovelace_1_x", "ü", "x" * 300, "x" * 301, "-rf"]
    slugs = [slug(name) for name in names]
    assert slugs[0] == "ada"
    assert len(set(slugs)) == len(names)
    for made in slugs:
        assert made
        assert len(made) <= 120
        assert not set(made) & set("/*[]? ")
        assert not made.startswith((".", "-"))


def test_the_same_notebook_from_two_students_is_told_in_neither_ones_marks(book, tmp_path):
    source = tmp_path / "in"
    for name in ("one", "two"):
        (source / name).mkdir(parents=True)
        (source / name / "tiny.ipynb").write_bytes(dump(student()))
    run(book, source, tmp_path / "out", jobs=2)
    rows = Graded(tmp_path / "out", source, 0).rows
    assert rows["one"]["sha256"] == rows["two"]["sha256"]
    assert rows["one"]["score"] == rows["two"]["score"] == "10"


def rows_of(book, source, out, **options):
    run(book, source, out, **options)
    return Graded(out, source, 0).rows


def changed_book(tmp_path, change):
    """Return a book whose master is the tiny one with one change."""
    folder = tmp_path / "book" / "assignments" / "tiny"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "master.md").write_text(change((HERE / "master.md").read_text(encoding="utf-8")), encoding="utf-8")
    return Book(tmp_path / "book")


def test_a_check_taken_out_of_the_master_counts_no_more_and_one_put_in_does(tmp_path):
    source, out = hand_in(tmp_path / "in", ["right"]), tmp_path / "out"
    assert rows_of(changed_book(tmp_path, lambda text: text), source, out)["right"]["automatic"] == "10"
    with Gradebook(f"sqlite:///{out / 'nbgrader' / 'gradebook.db'}") as gradebook:
        gradebook.find_grade("why", "tiny", "tiny", "right").manual_score = 2.0
        gradebook.db.commit()

    def without(text):
        at = text.index('```{code-cell} ipython3\n---\nhint: "Task 3')
        return text[:at] + text[text.index("## Task 4") :]

    for _ in range(2):
        row = rows_of(changed_book(tmp_path, without), source, out)["right"]
        assert (row["automatic"], row["score"], row["max_score"], row["why"]) == ("9", "11", "12", "2")
    row = rows_of(changed_book(tmp_path, lambda text: text.replace("points: 2,", "points: 4,", 1)), source, out)[
        "right"
    ]
    assert (row["automatic"], row["score"], row["max_score"], row["why"]) == ("12", "14", "15", "2")


def test_what_changes_after_the_first_run_changes_the_penalty(course, book, tmp_path, capsys):
    source = hand_in(tmp_path / "in", ["right"])
    stamp = source / "right" / "timestamp.txt"
    stamp.write_text("2026-03-01 14:30:00 UTC")
    run(book, source, course.parent, due="2026-03-01T12:00:00+00:00")
    (course / "hourly.py").write_text(PENALTY)
    with (course / "nbgrader_config.py").open("a") as file:
        file.write('c.AssignLatePenalties.plugin_class = "hourly.Hourly"\n')
    penalty = [rows_of(book, source, course.parent)["right"]["penalty"]]  # the due date is the last one said
    penalty.append(rows_of(book, source, course.parent, due="2026-03-01T13:30:00+00:00")["right"]["penalty"])
    capsys.readouterr()
    penalty.append(rows_of(book, source, course.parent, due="2026-03-02")["right"]["penalty"])
    assert re.search(
        r"^grade: due 2026-03-02 23:59:59 \S+ \(2026-03-0\d \d\d:\d\d:59 UTC\)$", capsys.readouterr().out, re.M
    )
    stamp.write_text("2026-03-03 00:00:00 UTC")
    penalty.append(rows_of(book, source, course.parent, due="2026-03-02T23:00:00+00:00")["right"]["penalty"])
    assert penalty == ["2.5", "1", "0", "1"]


def test_a_new_answer_under_an_old_mark_waits_again(course, book, tmp_path):
    source = hand_in(tmp_path / "in", ["right"])
    run(book, source, course.parent)

    def mark(points):
        with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
            for name, given in (("why", points), ("limit-value", 1.0)):
                grade_ = gradebook.find_grade(name, "tiny", "tiny", "right")
                grade_.manual_score, grade_.needs_manual_grade = given, False
            gradebook.find_comment("centre", "tiny", "tiny", "right").manual_comment = "Elegant."
            gradebook.db.commit()

    mark(1.0)
    assert rows_of(book, source, course.parent)["right"]["waiting"] == "0"
    (source / "right" / "tiny.ipynb").write_bytes(written(why="A new answer."))
    for _ in range(2):
        row = rows_of(book, source, course.parent)["right"]
        assert (row["waiting"], row["why"]) == ("1", "1")
        assert "why: handed in anew after it was marked" in row["flags"]
    mark(50.0)
    row = rows_of(book, source, course.parent)["right"]
    assert row["waiting"] == "0"
    assert "why: marked above its maximum" in row["flags"]
    (source / "right" / "tiny.ipynb").write_bytes(written(why="A new answer.", limit="LIMIT = 0.75"))
    for options in ({}, {"again": True}):
        row = rows_of(book, source, course.parent, **options)["right"]
        assert (row["waiting"], row["limit-value"]) == ("1", "1")  # an override of the judge's 0 was for other code
        assert "limit-value: handed in anew after it was marked" in row["flags"]
    assert "Elegant." in (course.parent / "feedback" / "right.html").read_text(encoding="utf-8")


def test_a_second_assignment_keeps_the_results_of_the_first(book, tmp_path):
    source, out = hand_in(tmp_path / "in", ["right"]), tmp_path / "out"
    run(book, source, out)
    first = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and "nbgrader" not in path.parts}
    (book.root / "assignments" / "second").mkdir()
    shutil.copy(book.root / "assignments" / "tiny" / "master.md", book.root / "assignments" / "second")
    try:
        grade(book, "second", hand_in(tmp_path / "in2", ["untouched"]), out, isolation="process", limits=LIMITS)
    finally:
        shutil.rmtree(book.root / "assignments" / "second")
    assert {path: path.read_bytes() for path in first} == first
    assert (out / "second" / "feedback" / "untouched.html").is_file()


def test_the_run_says_how_many_files_and_rows_and_what_is_nobodys(book, roster, tmp_path, capsys):
    source = hand_in(tmp_path / "in", ["right", "cut_off", "nothing_in_it"])
    (source / "timetable.pdf").write_bytes(b"%PDF")
    assert run(book, source, tmp_path / "out", roster=roster) == 0
    said = capsys.readouterr().out
    assert "grade: 2 files in 5 rows: 1 ok, 3 missing, 1 unreadable" in said
    assert "grade: 1 loose files are of no student in the roster: timetable.pdf" in said


def test_a_database_in_use_is_one_line(book, once, tmp_path, capsys):
    import sqlite3

    shutil.copytree(once.out, tmp_path / "out")
    connection = sqlite3.connect(tmp_path / "out" / "nbgrader" / "gradebook.db")
    connection.execute("begin exclusive")
    try:
        with pytest.raises(BookError, match="close the formgrader"):
            run(book, once.source, tmp_path / "out")
    finally:
        connection.close()


def test_teachers_read_why_and_platforms_get_one_zip(once):
    with (once.out / "why.csv").open(newline="") as file:
        why = {(row["id"], row["item"]): row["why"] for row in csv.DictReader(file)}
    assert "NotImplementedError" in why["untouched", "centre-fresh"]
    names = zipfile.ZipFile(once.out / "feedback.zip").namelist()
    assert "right/feedback.html" in names
    assert len(names) == len(once.rows)


def test_results_for_gradescope_show_hints_and_nothing_hidden(once):
    kinds = {"score": (int, float), "output": str, "visibility": str, "tests": list}
    for name, row in once.rows.items():
        path = once.out / "gradescope" / f"{slug(name.lstrip(chr(39)))}.json"
        found = json.loads(path.read_text(encoding="utf-8"))
        assert set(found) <= set(kinds)
        assert all(isinstance(value, kinds[key]) for key, value in found.items())
        assert ("score" in found) == (row["score"] != "")
        for test in found["tests"]:
            assert set(test) == {"name", "score", "max_score", "output"}
            assert (test["score"] < test["max_score"]) == bool(test["output"])
        assert not re.search("secret|reference|assert ", path.read_text(encoding="utf-8"))
    found = json.loads((once.out / "gradescope" / "right.json").read_text())
    assert len(found["tests"]) == len(POINTS)
    assert "provisional: answers that wait for a person: 1" in found["output"]
