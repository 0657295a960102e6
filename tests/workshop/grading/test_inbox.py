"""What is found in a folder, whose it is, and how a notebook is brought back to its assignment."""

import contextlib
import io
import os
import random
import time
import tracemalloc
import unicodedata
import zipfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import PurePosixPath

import nbformat
import pytest
from corpus import ASSIGNMENT, CASES, RIGHT, dump, student, written

from workshop.book import BookError
from workshop.grading import inbox, intake
from workshop.grading.inbox import collect, owner, read_extensions, read_roster
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
    assert all_found["Emmy_8_x"].flags == ["came in class.zip", "not in the roster"]


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


def test_of_several_notebooks_the_one_that_holds_most_of_the_tasks_is_read(tmp_path):
    """A scratch file that was saved last is not the submission; of two that hold as much, the newer one is."""
    (tmp_path / "ada").mkdir()
    scratch = student()
    scratch["cells"] = scratch["cells"][:3]
    right = written()
    for hour, (name, data) in enumerate({"a.ipynb": right, "b.ipynb": right, "c.ipynb": dump(scratch)}.items()):
        (tmp_path / "ada" / name).write_bytes(data)
        os.utime(tmp_path / "ada" / name, (3600 * hour, 3600 * hour))
    ada = found(tmp_path)["ada"]
    assert ada.path.endswith("b.ipynb")
    assert ada.data == right
    assert "3 notebooks; used b.ipynb" in ada.flags


def test_canvas_zip_of_a_class_lies_in_the_folder(tmp_path):
    """Canvas packs loose files: each is its student's, and none is lost."""
    inner = {"hoppergrace_8812_991_tiny.ipynb": written(), "lovelaceada_LATE_12_34_tiny-1.ipynb": written()}
    inner |= {"readme.pdf": b"%PDF", "kurtgoedel_5_6_x.ipynb": written()}
    (tmp_path / "submissions.zip").write_bytes(zipped(**inner))
    nobodys = []
    rows = {row.student: row for row in collect(ASSIGNMENT, "tiny", tmp_path, ROSTER, nobodys)}
    assert {name: row.status for name, row in rows.items()} == {"ada": "", "gh7": "", "kurtgoedel": ""}
    assert rows["ada"].flags == ["came in submissions.zip", "Canvas calls it late"]
    assert nobodys == ["submissions.zip: readme.pdf"]


def test_nobody_hands_in_under_anothers_name_by_a_zip_of_folders(tmp_path):
    """A zip of several folders is read as a class; it takes no row from whoever came by themselves."""
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "x.ipynb").write_bytes(written())
    forged = {"ada/x.ipynb": written(why="Worthless."), "other/x.ipynb": written()}
    (tmp_path / "mallory.zip").write_bytes(zipped(**forged))
    rows = found(tmp_path, {})
    assert set(rows) == {"ada", "ada (ada in mallory.zip)", "other"}
    assert (rows["ada"].data, rows["ada"].flags) == (written(), [])
    assert "came in mallory.zip" in rows["ada (ada in mallory.zip)"].flags
    assert "ada has another folder too" in rows["ada (ada in mallory.zip)"].flags
    assert rows["other"].flags == ["came in mallory.zip"]


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
    ("folder", "roster", "student"),
    [
        ("j.smith@uni.edu", {"s1": "j.smith@uni.edu", "s2": "jsmith@uni.edu"}, "s1"),
        ("j.smith@uni.edu", {"s2": "jsmith@uni.edu"}, ""),
        ("jsmith@other.org", {"jsmith": "jsmith@uni.edu"}, ""),
        ("jsmith@uni", {"jsmith": "someone@uni.edu"}, "jsmith"),
        ("J.Smith@UNI.edu", {"s1": "j.smith@uni.edu"}, "s1"),
    ],
)
def test_addresses_are_matched_as_they_are(folder, roster, student):
    people = {name: {"first_name": "", "last_name": "", "email": email} for name, email in roster.items()}
    assert owner(folder, people) == student


def test_a_name_in_letters_and_marks_is_the_same_name(tmp_path):
    people = {"s1": {"first_name": "José", "last_name": "Núñez", "email": ""}}
    folder = tmp_path / (unicodedata.normalize("NFD", "José Núñez") + "_1_assignsubmission_file_")
    folder.mkdir()
    (folder / "x.ipynb").write_bytes(written())
    assert found(tmp_path, people)["s1"].notebook is not None


def test_folders_of_a_github_classroom(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text('"identifier","github_username","github_id","name"\n"x@y.z","ada-l","1",""\n"q@y.z","l","2",""\n')
    people = read_roster(path)
    assert set(people) == {"ada-l", "l"}
    assert [owner(folder, people) for folder in ("tiny-Ada-L", "homework-1-l", "homework-1-eve", "-")] == [
        "ada-l",
        "l",
        "",
        "",
    ]


def test_two_students_of_one_name_are_told_of_each_other(tmp_path):
    twins = {name: {"first_name": "Ada", "last_name": "Lovelace", "email": ""} for name in ("a1", "a2")}
    (tmp_path / "Ada Lovelace_1_x").mkdir()
    (tmp_path / "Ada Lovelace_1_x" / "x.ipynb").write_bytes(written())
    all_found = found(tmp_path, twins)
    assert all_found["Ada Lovelace_1_x"].flags == ["could be a1 or a2"]
    assert all_found["a1"].flags == all_found["a2"].flags == ["nothing was handed in", "Ada Lovelace_1_x may be theirs"]


def test_loose_files(tmp_path):
    people = {name: {"first_name": "", "last_name": "", "email": ""} for name in ("alice", "bob", "carol", "dan")}
    for name in ("tiny_alice.ipynb", "tiny_bob.ipynb", "carol_hw.ipynb.txt"):
        (tmp_path / name).write_bytes(written())
    (tmp_path / "dan_homework.pdf").write_bytes(b"%PDF")
    (tmp_path / "timetable.pdf").write_bytes(b"%PDF")
    nobodys = []
    rows = {s.student: s for s in collect(ASSIGNMENT, "tiny", tmp_path, people, nobodys)}
    assert {name: row.status for name, row in rows.items()} == dict.fromkeys(people, "") | {"dan": "unreadable"}
    assert "read as the notebook that it is" in rows["carol"].flags[0]
    assert "dan_homework.pdf" in rows["dan"].flags[0]
    assert nobodys == ["timetable.pdf"]


def test_every_file_stands_in_exactly_one_row(tmp_path):
    """A thousand random intakes: names in every style, folders, zips of one and of many, stray files."""
    rng = random.Random(4)
    kinds = Counter()
    people = {f"s{n}": {"first_name": f"F{n}", "last_name": f"L{n}", "email": f"f.l{n}@uni.edu"} for n in range(6)}
    notebook = written()
    packed = zipped(**{"hw.ipynb": notebook, "timestamp.txt": b"x"})
    for number in range(1000):
        source = tmp_path / str(number)
        source.mkdir()
        put, packed_files = set(), {}
        for n in rng.sample(range(8), rng.randrange(5)):
            file = rng.choice(["hw.ipynb", "hw.ipynb.txt", "hw.zip", "a.pdf", "x.py", "deep/hw.ipynb", "timestamp.txt"])
            name = rng.choice(
                [f"s{n}", f"F{n} L{n}_{n}_assignsubmission_file_", f"l{n}f{n}_LATE_1_2_", f"tiny_s{n}", "x"]
            )
            path = f"{name}/{file}" if rng.random() < 0.5 else f"{name}_{file.replace('/', '_')}"
            data = packed if path.endswith("zip") else notebook if "ipynb" in path else b"data"
            if rng.random() < 0.3:
                packed_files[path] = data
                continue
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_bytes(data)
            put.add(path)
        if packed_files:
            (source / "class.zip").write_bytes(zipped(**packed_files))
        nobodys = []
        rows = list(collect(ASSIGNMENT, "tiny", source, people, nobodys))
        shown = sorted([file for row in rows for file in row.files] + [n.removeprefix("class.zip: ") for n in nobodys])
        inside = sorted([*put, *packed_files])
        kinds[
            "a class" if packed_files and "class.zip" not in shown else "one student's" if packed_files else "none"
        ] += 1
        assert shown == (
            inside if packed_files and "class.zip" not in shown else sorted([*put, *["class.zip"] * bool(packed_files)])
        )
        assert len({row.student for row in rows}) == len(rows)
        assert set(people) <= {row.student for row in rows}
        for row in rows:
            assert row.notebook is not None or row.status in {"missing", "unreadable"}
            assert (row.status == "missing") <= (not row.files)
    assert min(kinds.values()) > 50, kinds
    assert len(kinds) == 3


def test_the_clock_of_a_students_own_zip_is_not_believed(tmp_path):
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "hw.zip").write_bytes(
        zipped(**{"x.ipynb": written(), "timestamp.txt": b"2020-01-01 00:00:00 UTC"})
    )
    uploaded = tmp_path / "Grace Hopper_7_assignsubmission_file_"
    uploaded.mkdir()
    (uploaded / "x.ipynb").write_bytes(written())
    (uploaded / "timestamp.txt").write_text("2020-01-01 00:00:00 UTC")
    clone = tmp_path / "tiny-kurt"
    (clone / ".git").mkdir(parents=True)
    (clone / "x.ipynb").write_bytes(written())
    (clone / "timestamp.txt").write_text("2020-01-01 00:00:00 UTC")
    now = datetime.now(UTC).replace(tzinfo=None)
    assert len(found(tmp_path)) == 3
    for submission in found(tmp_path).values():
        assert abs((submission.when - now).total_seconds()) < 3600


@pytest.mark.parametrize(
    ("data", "student"),
    [
        (b"sep=;\r\nid;Last name\r\n0071;Lovelace\r\n", ("0071", "Lovelace", "")),
        ("id\tlast_name\nada\tL\u00f6ve\n".encode("utf-16"), ("ada", "L\u00f6ve", "")),
        ("id,last_name\nada,L\u00f6ve\n".encode("cp1252"), ("ada", "L\u00f6ve", "")),
        (
            b'Student,ID,SIS User ID,SIS Login ID,HW (1)\n    Points Possible,,,,10\n"Lovelace, Ada",47,u1,ada,\n',
            ("ada", "Lovelace", "Ada"),
        ),
        (
            "\ufeffFirst name,Last name,ID number,Email address,Groups\nAda,Lovelace,,al@example.org,\n".encode(),
            ("al@example.org", "Lovelace", "Ada"),
        ),
        (b'"Last Name","First Name","Username","Student ID"\n"Lovelace","Ada","ada","7"\n', ("ada", "Lovelace", "Ada")),
        (
            b'Student,ID,SIS Login ID,HW (1)\n,,,Manual Posting\n    Points Possible,,,10\n"Lovelace, Ada",47,ada,\n',
            ("ada", "Lovelace", "Ada"),
        ),
        (
            b"Identifier,Full name,ID number,Email address,Status\nParticipant 7,Ada Lovelace,,al@example.org,No\n",
            ("al@example.org", "Lovelace", "Ada"),
        ),
        (
            '"Last Name"\t"First Name"\t"Username"\t"Student ID"\n"Lovelace"\t"Ada"\t"ada"\t"07"\n'.encode("utf-16"),
            ("ada", "Lovelace", "Ada"),
        ),
    ],
    ids=[
        "Excel",
        "UTF-16",
        "one byte",
        "Canvas",
        "Moodle",
        "Blackboard",
        "Canvas, posting",
        "Moodle, worksheet",
        "tabs",
    ],
)
def test_rosters_as_platforms_and_spreadsheets_write_them(tmp_path, data, student):
    path = tmp_path / "roster.csv"
    path.write_bytes(data)
    [(name, entry)] = read_roster(path).items()
    assert (name, entry["last_name"], entry["first_name"]) == student


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


def seconds(data):
    """Return the processor's seconds that it takes to read and normalise a file."""
    start = time.process_time()
    with contextlib.suppress(intake.Unreadable):
        normalise(ASSIGNMENT, read_notebook(data))
    return time.process_time() - start


def test_what_a_student_chooses_takes_no_time_by_its_square():
    shell = "centre = 1\n" + "!echo centre\n" * 400 + "x = 1\n" * 3000
    letters = sorted(next(check for check in ASSIGNMENT.checks if check.public).source)
    anagrams = ["".join(random.Random(n).sample(letters, len(letters))) for n in range(intake.MOST_CELLS)]
    for sources in ([shell], ["%magic centre\n" * 501 + "centre = 1"], anagrams, ["(" * 100_000 + "centre powers"]):
        cells = [{"cell_type": "code", "source": source} for source in sources]
        assert seconds(dump({"cells": cells})) < 4


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"cells":[' + b"[]," * 5_000_000 + b"[]]}", "parts; no notebook has"),
        (b'{"cells":[' + b'"",' * 5_000_000 + b'""]}', "texts"),
        (b'{"cells":["' + b'\\"' * 3_000_000, "no notebook"),
        (dump({"cells": [{"cell_type": "code", "source": "x" * 2**21}]}), "a cell has 2 MB"),
        (dump({"cells": [{"cell_type": "code", "source": "x" * 10**6}] * 5}), "the cells hold 5 MB"),
        (dump({"cells": [{"cell_type": "code", "source": "x"}] * 1001}), "1001 cells"),
    ],
    ids=["lists", "texts", "escapes", "long cell", "long cells", "cells"],
)
def test_what_is_too_much_is_refused_before_it_is_understood(data, says):
    tracemalloc.start()
    with pytest.raises(intake.Unreadable, match=says):
        read_notebook(data)
    assert tracemalloc.get_traced_memory()[1] < 4 * len(data) + 10**7
    tracemalloc.stop()


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


def test_an_answer_in_two_cells_is_one_answer():
    notebook = student(why="First half.")
    notebook["cells"].append(
        {"cell_type": "markdown", "metadata": {}, "source": "SECOND half.", "attachments": PICTURE}
    )
    at = next(i for i, cell in enumerate(notebook["cells"]) if cell["source"] == "First half.")
    notebook["cells"].insert(at, {"cell_type": "markdown", "metadata": {}, "source": "Before it."})
    normal = normalise(ASSIGNMENT, read_notebook(dump(notebook)))
    answer = normal.notebook.cells[-1]
    assert answer.source == "Before it.\n\nFirst half.\n\nSECOND half."
    assert answer.attachments == PICTURE
    assert "why: put together from 3 text cells" in normal.flags
    below = student(why=ASSIGNMENT.stubs["why"])
    below["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "All of it."})
    assert normalise(ASSIGNMENT, read_notebook(dump(below))).notebook.cells[-1].source == "All of it."


PICTURE = {"plot.png": {"image/png": "iVBORw0KGgo="}}


def test_a_picture_that_is_not_in_the_notebook_is_missed():
    normal = normalise(ASSIGNMENT, read_notebook(written(why="See ![my plot](plot.png).")))
    assert normal.review
    assert "why: shows the file plot.png, which is not in the notebook" in normal.flags


@pytest.mark.parametrize("kind", ["markdown", "raw"])
@pytest.mark.parametrize("ids", [True, False])
def test_a_solution_turned_into_text_is_read_as_code(kind, ids):
    notebook = student()
    cell = next(cell for cell in notebook["cells"] if "def centre" in cell["source"])
    cell["cell_type"] = kind
    if not ids:
        cell["metadata"] = {}
    normal = normalise(ASSIGNMENT, read_notebook(dump(notebook)))
    assert RIGHT["centre"] in [cell.source for cell in normal.cells]
    assert "centre: stands in a markdown cell; read as code" in normal.flags


def test_two_solutions_merged_into_one_cell_are_both_there():
    notebook = student()
    one, two = (next(c for c in notebook["cells"] if f"def {name}" in c["source"]) for name in ("centre", "powers"))
    one["source"] += "\n\n" + two["source"]
    notebook["cells"].remove(two)
    normal = normalise(ASSIGNMENT, read_notebook(dump(notebook)))
    assert "powers: answered in the cell of centre" in normal.flags
    assert ASSIGNMENT.stubs["powers"] not in [cell.source for cell in normal.cells]


def test_lines_that_install_do_not_cost_the_cell():
    source = "%conda install -y numpy\n!pip install x\n" + RIGHT["centre"]
    normal = normalise(ASSIGNMENT, read_notebook(written(centre=source)))
    assert "pass\npass\n" + RIGHT["centre"] in [cell.source for cell in normal.cells]


def test_a_magic_before_a_solution_that_lost_its_id():
    notebook = student(centre="%%time\n" + RIGHT["centre"])
    for cell in notebook["cells"]:
        cell["metadata"] = {}
    assert "%%time\n" + RIGHT["centre"] in [
        c.source for c in normalise(ASSIGNMENT, read_notebook(dump(notebook))).cells
    ]


def test_what_lies_beside_the_notebook_is_taken_and_told(tmp_path):
    here = tmp_path / "ada"
    for name in ("own/helper.py", "data.csv", ".secret/x", "timestamp.txt", "deep/more.py"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(name.encode())
    (here / "x.ipynb").write_bytes(written())
    (here / "huge.bin").write_bytes(bytes(inbox.COMPANION_BYTES + 1))
    (tmp_path / "grace").mkdir()
    (tmp_path / "grace" / "hw.zip").write_bytes(
        zipped(**{"in/hw.ipynb": written(), "in/b.txt": b"b", "outside.txt": b"o"})
    )
    for name in ("hopper_1_2_helper.py", "hopper_1_2_x.ipynb"):
        (tmp_path / name).write_bytes(written())
    all_found = found(tmp_path, {name: {"first_name": "", "last_name": "", "email": ""} for name in ("hopper",)})
    assert all_found["ada"].companions == {
        "own/helper.py": b"own/helper.py",
        "data.csv": b"data.csv",
        "deep/more.py": b"deep/more.py",
    }
    assert "beside the notebook: data.csv, deep/more.py, own/helper.py" in all_found["ada"].flags
    assert any("huge.bin: not used" in flag for flag in all_found["ada"].flags)
    assert all_found["grace"].companions == {"b.txt": b"b"}
    assert set(all_found["hopper"].companions) == {"helper.py"}


def test_what_a_cell_has_drawn_is_kept_for_the_person_who_grades():
    notebook = student()
    drawing = {
        "output_type": "display_data",
        "metadata": {},
        "data": {"image/png": ["iVBO", "Rw0="], "text/html": "<b>"},
    }
    own = {"cell_type": "code", "metadata": {}, "source": "plot()", "execution_count": 1, "outputs": [drawing] * 25}
    notebook["cells"].append(own)
    normal = normalise(ASSIGNMENT, read_notebook(dump(notebook)))
    shown = [cell for cell in normal.notebook.cells if cell.get("attachments")]
    assert len(shown) == 1
    assert len(shown[0].attachments) == 20
    assert set(map(str, shown[0].attachments.values())) == {"{'image/png': 'iVBORw0='}"}
    assert "25 pictures drawn by cells; 20 are kept" in normal.flags
    assert normal.notebook.cells[normal.notebook.cells.index(shown[0]) - 1].source == "plot()"


def test_a_picture_beside_the_notebook_is_put_into_the_answer():
    notebook = read_notebook(written(why="See ![my plot](./plot.png) and ![gone](gone.png)."))
    normal = normalise(ASSIGNMENT, notebook, {"plot.png": "iVBORw0="})
    answer = next(cell for cell in normal.notebook.cells if cell.get("attachments"))
    assert answer.attachments == {"file-1": {"image/png": "iVBORw0="}}
    assert "](attachment:file-1)" in answer.source
    assert normal.review
    assert [flag for flag in normal.flags if "shows the file" in flag] == [
        "why: shows the file gone.png, which is not in the notebook"
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id\nada\n", "wanted the columns id and due"),
        ("id,due\nada,\n", "row 2: ada: due is blank"),
        ("id,due\neve,2026-03-01\n", "row 2: 'eve' is not in the roster"),
        ("id,due\nada,2026-03-01\nada,2026-03-02\n", "row 3: the id 'ada' is twice"),
    ],
)
def test_extensions_that_are_none(tmp_path, text, says):
    path = tmp_path / "extensions.csv"
    path.write_text(text)
    with pytest.raises(BookError, match=says):
        read_extensions(path, ROSTER)
    path.write_text("sep=;\nID;Due\nada;2026-03-01\n")
    assert read_extensions(path, ROSTER) == {"ada": "2026-03-01"}
