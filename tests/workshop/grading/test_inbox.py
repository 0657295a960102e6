"""What is found in a folder, whose it is, and how a notebook is brought back to its assignment."""

import io
import zipfile
from datetime import datetime
from pathlib import PurePosixPath

import nbformat
import pytest
from corpus import ASSIGNMENT, CASES, RIGHT, dump, student, written

from workshop.book import BookError
from workshop.grading import inbox, intake
from workshop.grading.inbox import collect, owner, read_roster
from workshop.grading.intake import normalise, read_notebook

ROSTER = {
    "ada": {"first_name": "Ada", "last_name": "Lovelace", "email": "al@example.org"},
    "gh7": {"first_name": "Grace", "last_name": "Hopper", "email": "grace@example.org"},
}


def zipped(**files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def found(source, roster=ROSTER):
    return {submission.student: submission for submission in collect(ASSIGNMENT, "tiny", source, roster)}


@pytest.mark.parametrize(
    ("folder", "student"),
    [
        ("ada", "ada"),
        ("ADA", "ada"),
        ("Ada Lovelace_123456_assignsubmission_file_", "ada"),
        ("Lovelace, Ada", "ada"),
        ("grace@example.org", "gh7"),
        ("hoppergrace_8812_991_tiny", "gh7"),
        ("gh7@uni", "gh7"),
        ("somebody", ""),
        ("", ""),
    ],
)
def test_whose_a_folder_is(folder, student):
    assert owner(folder, ROSTER) == student


def test_a_name_that_two_students_share_is_nobodys():
    twins = {name: {"first_name": "Ada", "last_name": "Lovelace", "email": ""} for name in ("a1", "a2")}
    assert owner("Ada Lovelace_1_x", twins) == ""


def test_every_way_to_hand_in(tmp_path):
    (tmp_path / "ada" / "tiny").mkdir(parents=True)  # nbgrader: student/assignment
    (tmp_path / "ada" / "tiny" / "tiny.ipynb").write_bytes(written())
    (tmp_path / "ada" / "tiny" / "timestamp.txt").write_text("2026-03-01 10:00:00 +0200")
    (tmp_path / "ada" / "older").mkdir()
    (tmp_path / "ada" / "older" / "older.ipynb").write_bytes(written())
    (tmp_path / "hoppergrace_12_34_tiny-1.ipynb").write_bytes(written())  # Canvas
    inner = {"Kurt Goedel_9_assignsubmission_file_/hw.ipynb": written(), "Emmy_8_x/a/hw.ipynb": written()}
    (tmp_path / "class.zip").write_bytes(zipped(**inner))  # Moodle, the whole class
    (tmp_path / "ada" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "ada" / ".ipynb_checkpoints" / "tiny-checkpoint.ipynb").write_bytes(b"")
    (tmp_path / "grades.xlsx").write_bytes(b"")
    all_found = found(tmp_path)
    assert set(all_found) == {"ada", "gh7", "Kurt Goedel_9_assignsubmission_file_", "Emmy_8_x"}
    assert all(submission.notebook is not None for submission in all_found.values())
    assert all_found["ada"].when == datetime(2026, 3, 1, 8)
    assert all_found["ada"].flags == []
    assert all_found["Emmy_8_x"].flags == ["not in the roster"]


def test_a_zip_in_place_of_the_folder(tmp_path):
    path = tmp_path / "all.zip"
    inner = zipped(**{"t.ipynb": written()})
    path.write_bytes(zipped(**{"Ada Lovelace_1_x_/tiny.ipynb": written(), "gh7/solution.zip": inner}))
    all_found = found(path)
    assert {name: submission.status for name, submission in all_found.items()} == {"ada": "", "gh7": ""}
    path.write_bytes(b"no zip")
    with pytest.raises(BookError, match="cannot be read"):
        found(path)
    with pytest.raises(BookError, match="no such folder"):
        found(tmp_path / "nowhere")


def test_links_are_not_followed(tmp_path):
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "tiny.ipynb").write_bytes(written())
    (tmp_path / "gh7").mkdir()
    (tmp_path / "gh7" / "tiny.ipynb").symlink_to(tmp_path / "ada" / "tiny.ipynb")
    (tmp_path / "thief").symlink_to(tmp_path / "ada")
    all_found = found(tmp_path)
    assert set(all_found) == {"ada", "gh7"}
    assert all_found["gh7"].status == "missing"


def test_two_folders_of_one_student_give_two_rows(tmp_path):
    for name in ("ada", "Ada Lovelace_7_x", "AL@example.org"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.ipynb").write_bytes(written())
    all_found = found(tmp_path)
    assert all_found["ada"].folder == "ada"
    assert len(all_found) == 4  # and the one who handed in nothing
    assert all_found["gh7"].status == "missing"
    assert sum("ada has another folder too" in submission.flags for submission in all_found.values()) == 2


def test_an_unreadable_file_says_so_and_stops_nobody(tmp_path, monkeypatch):
    for name in ("ada", "gh7"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.ipynb").write_bytes(written())
    real = inbox.read_file
    monkeypatch.setattr(inbox, "read_file", lambda path: 1 / 0 if path.parent.name == "ada" else real(path))
    all_found = found(tmp_path)
    assert (all_found["ada"].status, all_found["gh7"].status) == ("grader-error", "")
    assert "ZeroDivisionError" in all_found["ada"].flags[0]


@pytest.mark.parametrize(
    "text",
    [
        "id,last_name,first_name,email\nada,Lovelace,Ada,al@example.org\n",
        "\ufeffUsername;Surname;First name;Email address\r\n ada ;Lovelace;Ada;al@example.org\r\n\r\n",
        'Student ID,First Name,E-mail,email,Last Name\nada,Ada,x,al@example.org,"Lovelace"\n',
    ],
)
def test_rosters(tmp_path, text):
    path = tmp_path / "roster.csv"
    path.write_text(text, encoding="utf-8")
    assert read_roster(path) == {"ada": ROSTER["ada"]}


@pytest.mark.parametrize(
    ("text", "says"),
    [("name\nada\n", "no column is called id"), ("id\nada\nada\n", "row 3: the id 'ada' is twice"), ("", "no column")],
)
def test_rosters_that_are_none(tmp_path, text, says):
    path = tmp_path / "roster.csv"
    path.write_text(text)
    with pytest.raises(BookError, match=says):
        read_roster(path)
    with pytest.raises(BookError):
        read_roster(tmp_path / "none.csv")


def labels(normal):
    return [cell.label for cell in normal.cells]


def test_a_right_submission_is_left_as_it_is():
    normal = normalise(ASSIGNMENT, read_notebook(written()))
    assert normal.flags == []
    assert not normal.review
    assert labels(normal) == ["set-up cell 1", "centre", "powers", "limit", "line"]
    assert [cell.source for cell in normal.cells[1:]] == [RIGHT[name] for name in ("centre", "powers", "limit", "line")]


@pytest.mark.parametrize("name", ["metadata_lost", "lines_in_lists_and_ids_of_another_kind", "nbformat_3", "utf_16"])
def test_cells_without_ids_are_found_again(name):
    normal = normalise(ASSIGNMENT, read_notebook(CASES[name].files["tiny.ipynb"]))
    assert normal.cells == normalise(ASSIGNMENT, read_notebook(written())).cells
    answer = next(cell for cell in normal.notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "why")
    assert answer.source == RIGHT["why"]


def test_tests_come_from_the_master_and_the_hidden_ones_only_as_hints():
    normal = normalise(ASSIGNMENT, read_notebook(CASES["tests_edited"].files["tiny.ipynb"]))
    sources = [cell.source for cell in normal.notebook.cells]
    assert next(check.source for check in ASSIGNMENT.checks if check.public) in sources
    for check in ASSIGNMENT.checks:
        if not check.public:
            assert check.source not in sources
            assert f"# Hidden check\n# {check.hint}" in sources


def test_own_cells_run_where_they_stand():
    notebook = student()
    place = next(i for i, cell in enumerate(notebook["cells"]) if "def powers" in cell["source"])
    notebook["cells"].insert(place, {"cell_type": "code", "source": "helper = 1"})
    notebook["cells"].insert(0, {"cell_type": "code", "source": "first = 1"})
    normal = normalise(ASSIGNMENT, read_notebook(dump(notebook)))
    assert labels(normal) == ["own cell 1", "set-up cell 1", "centre", "own cell 2", "powers", "limit", "line"]


def test_the_cell_that_installs_the_package_is_left_out():
    notebook = student()
    source = 'import importlib.util\nif importlib.util.find_spec("gradclinic") is None:\n    %pip install --quiet x'
    notebook["cells"].insert(1, {"cell_type": "code", "source": source})
    assert (
        normalise(ASSIGNMENT, read_notebook(dump(notebook))).cells
        == normalise(ASSIGNMENT, read_notebook(written())).cells
    )


def test_many_long_cells_are_not_compared_letter_by_letter(monkeypatch):
    compared = []
    real = intake.difflib.SequenceMatcher
    monkeypatch.setattr(intake.difflib, "SequenceMatcher", lambda *parts, **options: compared.append(1) or real(*parts))
    cells = [{"cell_type": "code", "source": f"x = {n}\n" + "y = 1\n" * 5000} for n in range(intake.MOST_CELLS)]
    normalise(ASSIGNMENT, read_notebook(dump({"cells": cells})))
    assert compared == []
    with pytest.raises(intake.Unreadable, match="1001 cells"):
        read_notebook(dump({"cells": [*cells, cells[0]]}))


def test_what_is_read_is_small_whatever_the_file_holds():
    notebook = student()
    for cell in notebook["cells"]:
        cell["outputs"] = [{"output_type": "stream", "text": "x" * 10**6}]
        cell["metadata"]["huge"] = "y" * 10**6
        cell["attachments"] = {"z": "z" * 10**6}
    assert len(nbformat.writes(read_notebook(dump(notebook)))) < 10**4


def test_a_zips_members_may_not_lead_out():
    for name in ("../x.ipynb", "/etc/x.ipynb", "a/../../x.ipynb", "..\\x.ipynb"):
        with pytest.raises(intake.Unreadable, match="leads out"):
            list(inbox.zipped(io.BytesIO(zipped(**{name: b""})), PurePosixPath()))
