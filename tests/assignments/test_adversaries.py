"""Answers without science, against every graded item of every assignment: none earns a point.

An adversary takes the place of one function (or value) of a task. The strongest know the form of the right answer, from
the master's own function called with the same arguments, and nothing of its values: the right lists of the right arrays
of the right shapes, filled with zeros, ones, NaN, tiny or random numbers. Whatever is left of that is what a check
must look at.
"""

import contextlib
import copy
import io
import zlib

import numpy as np
import pytest
from answers import NAMES, Here, assignment, looks_at, reference

from workshop.grading import judge

pytestmark = pytest.mark.filterwarnings("ignore")
SEED = 20


def filled(value, fill):
    """Return `value` with every number in it replaced by `fill(array)`, every text by an empty one; else as it is."""
    torch = __import__("torch")
    if isinstance(value, torch.nn.Module):
        with torch.no_grad():
            for parameter in value.parameters():
                parameter.copy_(torch.as_tensor(fill(parameter.numpy())))
        return value
    if type(value).__module__.startswith("tensorflow"):
        import tensorflow as tf

        return tf.constant(np.asarray(fill(value.numpy()), value.numpy().dtype))
    if isinstance(value, np.ndarray):
        return np.asarray(fill(value), value.dtype)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float | np.number):
        return float(np.asarray(fill(np.asarray(float(value)))))
    if isinstance(value, str):
        return ""
    if isinstance(value, list | tuple):
        return type(value)(filled(part, fill) for part in value)
    return value


def reshaped(value, change):
    """Return `value` with every array in it, but single numbers, replaced by `change(array)`."""
    if type(value).__module__.startswith("tensorflow"):
        import tensorflow as tf

        return tf.constant(reshaped(value.numpy(), change))
    if isinstance(value, np.ndarray) and value.ndim:
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(reshaped(part, change) for part in value)
    return value


def whole(value):
    """Return the arrays in a value, one behind the other, with their shapes."""
    parts = value if isinstance(value, list | tuple) else [value]
    return [found for part in parts for found in (whole(part) if part is not value else [np.shape(part)])]


SHAPES = {
    "the right arrays with an axis more": lambda a: a[None],
    "the right arrays, one entry short": lambda a: a[..., :-1],
    "the right arrays turned round": lambda a: a.T if a.ndim > 1 and a.shape[0] != a.shape[1] else a[..., None],
}
"""All of the science and not the form: whatever broadcasts would let it pass."""

FORMED = {
    "zeros in the right form": np.zeros_like,
    "ones in the right form": np.ones_like,
    "NaN in the right form": lambda a: np.full_like(a, np.nan),
    "infinity in the right form": lambda a: np.full_like(a, np.inf),
    "1e-12 in the right form": lambda a: np.full_like(a, 1e-12),
    "random numbers in the right form": lambda a: np.random.default_rng(a.size).normal(size=a.shape),
    "the first entry everywhere": lambda a: np.full_like(a, a.flat[0] if a.size > 1 else 0),
}

FIXED = {
    "nothing": None,
    "an empty list": [],
    "an empty array": np.zeros(0),
    "an empty array that broadcasts": np.zeros((0, 1)),
    "an empty array of three axes": np.zeros((0, 1, 1)),
    "two empty arrays": (np.zeros((0, 1, 1)), np.zeros((0, 1, 1))),
    "three empty arrays": (np.zeros((0, 1)), np.zeros((0, 1)), np.zeros((0, 1))),
    "a hundred empty arrays": [np.zeros((0, 1, 1))] * 100,
    "three empty lists": ([], [], []),
    "zero": 0.0,
    "one": 1.0,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "true": True,
    "a text": "healthy",
    "two empty texts": ("", ""),
    "an array that broadcasts": np.ones((1, 1)),
    "an object": object(),
    "a dictionary": {},
}


def adversaries(right):
    """Return {what it is: a function in place of `right`, or a value where `right` is one}."""
    if not callable(right):
        return {label: value for label, value in FIXED.items()} | {
            label: filled(right, fill) for label, fill in FORMED.items()
        }
    first = []

    def called(*arguments, **keywords):
        with contextlib.redirect_stdout(io.StringIO()):
            return right(*copy.deepcopy(arguments), **copy.deepcopy(keywords))

    def remembered(*arguments, **keywords):
        if not first:
            first.append(called(*arguments, **keywords))
        return copy.deepcopy(first[0])

    def raises(*_, **__):
        raise ValueError

    found = {label: lambda *_, value=value, **__: value for label, value in FIXED.items()}
    found |= {label: lambda *a, fill=fill, **k: filled(called(*a, **k), fill) for label, fill in FORMED.items()}
    found["the first argument returned"] = lambda *arguments, **_: arguments[0]
    found["all arguments returned"] = lambda *arguments, **_: arguments
    found[REMEMBERED] = remembered
    found["an exception"] = raises

    def in_another_shape(change):
        def answer(*arguments, **keywords):
            value = called(*arguments, **keywords)
            other = reshaped(value, change)
            return other if whole(other) != whole(value) else None

        return answer

    found |= {label: in_another_shape(change) for label, change in SHAPES.items()}
    return found


TASKS = [(name, cell) for name in NAMES for cell in assignment(name).names]

STRUCTURE = "the module is the master's own with other numbers in it, and this item asks for the structure alone"
COLUMN = "the right biases, one in a row: the public test asks whether the chain is balanced, and it is"
EXPECTED = {
    ("balanced-biases-public", "the right arrays turned round"): COLUMN,
    ("residual-identity", "the first entry everywhere"): STRUCTURE,
    ("residual-identity", "ones in the right form"): STRUCTURE,
    ("residual-identity", "random numbers in the right form"): STRUCTURE,
}
"""(check, adversary): why it may earn something."""

REMEMBERED = "the first right answer for ever"
"""Knows the right answer to the first question. A public test that asks no other cannot tell; hidden checks must."""


def earned(name, cell):
    """Return {(check, adversary): points} of what answers without science earn in a task."""
    side = judge.trusted(assignment(name))
    original = Here(name, reference(name)).space
    checks = [check for check in assignment(name).checks if cell in looks_at(name)[check.grade_id]]
    found = {}
    for delivered in sorted(assignment(name).names[cell]):
        for label, made in adversaries(original[delivered]).items():
            student = Here(name, reference(name), {delivered: made})
            space = side.bound(student)
            for check in checks:
                item = side.check(check, space, student, SEED + zlib.crc32(label.encode()) % 100)
                if item.points > 0 and not (check.public and label == REMEMBERED):
                    found[check.grade_id, label] = item.points
    return found


@pytest.mark.parametrize(("name", "cell"), TASKS, ids=[f"{name}, {cell}" for name, cell in TASKS])
def test_an_answer_without_science_earns_nothing(name, cell):
    found = earned(name, cell)
    own = {check.grade_id for check in assignment(name).checks if cell in looks_at(name)[check.grade_id]}
    expected = {pair for pair in EXPECTED if pair[0] in own}
    assert {pair: points for pair, points in found.items() if pair not in EXPECTED} == {}
    assert expected <= set(found), "an exception that is none any more"
