"""The recipes as a stranger pastes them: into an empty namespace, with images, with batches of any size.

The chapters execute the same cells, but among their own names and on their own data. A program that is right only
there is found here.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from workshop.teaching import FRAMEWORKS, cells


def program(book, page: str, framework: str) -> str:
    """All cells of one framework that a page offers to take home, as one program."""
    return "\n\n".join("\n".join(cell.lines) for cell in cells(book, page) if framework in cell.tags) + "\n"


def programs(book) -> dict[str, str]:
    """Page and framework -> program."""
    found = {
        f"{page} {framework}": program(book, page, framework)
        for page in book.toc
        if page in book.executed
        for framework in sorted(FRAMEWORKS)
    }
    return {name: text for name, text in found.items() if text.strip()}


def defined(book, page: str, framework: str) -> dict[str, Any]:
    """What a recipe imports and defines, without its run."""
    tree = ast.parse(program(book, page, framework))
    kept = ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef
    tree.body = [statement for statement in tree.body if isinstance(statement, kept)]
    names: dict[str, Any] = {}
    exec(compile(tree, f"{page} {framework}", "exec"), names)
    return names


def test_every_name_in_a_recipe_is_imported_or_defined_in_it(real, tmp_path):
    for name, text in programs(real).items():
        (tmp_path / (name.replace("/", "-").replace(" ", "-") + ".py")).write_text(text, encoding="utf-8")
    (tmp_path / "unknown.py").write_text("print(unheard_of)\n", encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", "--output-format", "concise"]
    found = subprocess.run([*ruff, tmp_path], capture_output=True, text=True, check=False).stdout
    assert [line for line in found.splitlines() if ".py:" in line and "unknown.py" not in line] == []
    assert "unheard_of" in found
    assert len(programs(real)) > 30


def bowl(seen: list[np.ndarray]) -> dict[str, Callable[[Any], Any]]:
    """A critic for each framework, half the squared length of a sample, whose slope is the sample itself.

    It notes in ``seen`` the points at which it is asked.
    """

    def pytorch(points: Any) -> Any:
        seen.append(points.detach().numpy())
        return points.flatten(1).square().sum(1) / 2

    def keras(points: Any) -> Any:
        import tensorflow as tf

        seen.append(points.numpy())
        return tf.reduce_sum(tf.reshape(points, (len(points), -1)) ** 2, axis=1) / 2

    return {"pytorch": pytorch, "keras": keras}


@pytest.mark.parametrize("framework", sorted(FRAMEWORKS))
@pytest.mark.parametrize("shape", [(64, 2), (5, 7), (8, 3, 8, 8), (64, 3, 64, 64), (5, 6, 6, 3), (4, 9, 4)])
def test_the_gradient_penalty_takes_one_share_and_one_slope_for_each_sample(real, framework, shape):
    names, seen = defined(real, "remedies/gradient-penalty", framework), []
    penalty = names["gradient_penalty" if framework == "pytorch" else "gradient_penalty_keras"]
    tensor = names["torch"].tensor if framework == "pytorch" else names["tf"].constant
    made = np.random.default_rng(0).normal(size=shape).astype("float32") / 10
    value = penalty(bowl(seen)[framework], real=tensor(made + 1), fake=tensor(made))
    value = (value.detach() if framework == "pytorch" else value).numpy()

    (between,) = seen
    shares = (between - made).reshape(len(made), -1)
    assert np.ptp(shares, axis=1).max() < 1e-5, "one share for all entries of a sample"
    assert np.ptp(shares[:, 0]) > 0.1, "not the same share for every sample"
    assert np.all(abs(shares - 0.5) <= 0.5 + 1e-6)
    by_hand = [10 * (np.sqrt(np.sum(point.astype(float) ** 2)) - 1) ** 2 for point in between]
    np.testing.assert_allclose(value, np.mean(by_hand), rtol=1e-4)


def test_what_made_the_points_gets_no_gradient_from_the_critics_step(real):
    names = defined(real, "remedies/gradient-penalty", "pytorch")
    torch, nn = names["torch"], names["nn"]
    torch.manual_seed(0)
    generator, critic = nn.Linear(2, 12), nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
    optimizer = torch.optim.Adam(critic.parameters())
    before = critic[1].weight.detach().clone()
    made = generator(torch.randn(6, 2)).reshape(6, 3, 2, 2)
    for _ in range(2):  # twice on the same points, as critics are trained
        names["critic_step"](critic, optimizer, torch.randn(6, 3, 2, 2), made)
    assert all(p.grad is None for p in generator.parameters())
    assert not torch.equal(before, critic[1].weight)


@pytest.mark.parametrize("framework", sorted(FRAMEWORKS))
def test_decay_takes_of_the_matrices_and_of_nothing_else(real, framework):
    """With all gradients 0, the program's own optimiser and model, in which there is a normalisation."""
    names: dict[str, Any] = {}
    exec(compile(program(real, "remedies/regularization", framework), framework, "exec"), names)
    if framework == "pytorch":
        import torch

        model, optimizer = names["model"], names["optimizer"]
        weights = {name: p for name, p in model.named_parameters()}
        for p in weights.values():
            p.data.fill_(1.0)
            p.grad = torch.zeros_like(p)
        optimizer.state.clear()
        optimizer.step()
        after = {name: p.detach().numpy() for name, p in weights.items()}
    else:
        import tensorflow as tf

        model, optimizer = names["model_keras"], names["optimizer_keras"]
        for v in [v for v in optimizer.variables if "momentum" in v.path or "velocity" in v.path]:
            v.assign(np.zeros(v.shape))
        for v in model.trainable_variables:
            v.assign(np.ones(v.shape))
        optimizer.apply_gradients([(tf.zeros(v.shape), v) for v in model.trainable_variables])
        after = {v.path: v.numpy() for v in model.trainable_variables}
    vectors = {name for name, value in after.items() if value.ndim == 1}
    assert (len(vectors), len(after)) == (4, 6), "two biases, and the normalisation's two vectors"
    for name, value in after.items():
        np.testing.assert_allclose(value, 1.0 if name in vectors else 1 - 1e-5, rtol=1e-6)
