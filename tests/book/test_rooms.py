"""Rooms that a newcomer finds: the table in CONTRIBUTING names files that exist, and no file outgrows its reader."""

import ast
import re

LONGEST_FILE, LONGEST_FUNCTION = 500, 60

REASONS = {
    "src/gradclinic/instrument/readings.py": "the records of a reading, and the two reports that hold them",
    "src/gradclinic/theory.py": "one theory: half of it is what its functions say of themselves, with examples",
    "src/gradclinic/instrument/__init__.py watch": "a public function: nine tenths of it are what it says of itself",
    "src/gradclinic/tf_net.py train": "one training loop, and a third of it is what it says of itself",
    "src/gradclinic/pretrain.py greedy": "a public function: half of it is what it says of itself",
    "src/gradclinic/instrument/torch/recorder.py": "one pass, its hooks and functions in the order it meets them",
    "src/gradclinic/instrument/torch/watch.py": "one state machine of a step, each hook beside the next",
    "src/gradclinic/course/spikes.py train": "one training loop, so that its arithmetic can be read in order",
    "src/gradclinic/gated.py learn": "one training loop, so that its arithmetic can be read in order",
    "src/gradclinic/instrument/keras/probe.py probe": "a public function: half of it is what it says of itself",
    "src/workshop/__main__.py main": "the list of all commands and their options",
    "src/workshop/grading/feedback.py page": "a template of a page",
    "src/workshop/grading/grade.py grade": "the order of a grading, which decides what is kept when it is stopped",
    "src/workshop/grading/intake.py normalise": "one rule after the other about one notebook, each with its refusal",
    "src/workshop/grading/worker.py main": "what happens in the sandbox, in the order in which it is locked",
}
"""What is longer than the bound, and why it stays whole. A line whose file or function became shorter must go."""


def too_long(root):
    for path in sorted((root / "src").rglob("*.py")):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()
        if len(text.splitlines()) > LONGEST_FILE:
            yield name
        for node in ast.walk(ast.parse(text)):
            function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            if function and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION:
                yield f"{name} {node.name}"


def test_what_is_long_has_a_reason(real):
    assert set(too_long(real.root)) == set(REASONS)


def test_length_is_noticed(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("def f():\n" + "    f()\n" * 60 + "x = 1\n" * 440, encoding="utf-8")
    assert list(too_long(tmp_path)) == ["src/a.py", "src/a.py f"]


def test_every_room_in_contributing_exists(real):
    text = (real.root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", text.partition("\n## Rooms\n")[2].partition("\n## ")[0], re.M)[1:]
    assert len(rows) >= 11
    for what, where in rows:
        named = [path for path in re.findall(r"`([^`]+)`", where) if "/" in path or path.endswith((".toml", ".yml"))]
        assert named, what
        for path in named:
            assert (real.root / path).exists(), f"{what}: no {path}"
        for name in re.findall(r"`(\w+\.py)`", where):
            found = [path for room in ("src", "tests") for path in (real.root / room).rglob(name)]
            assert found, f"{what}: no {name}"


def test_no_two_test_files_share_a_name(real):
    names = sorted(path.name for path in (real.root / "tests").rglob("test_*.py"))
    assert names == sorted(set(names)), "pytest imports test files by their names"
