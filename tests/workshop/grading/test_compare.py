"""The comparison that authors use: form first, then values, on the scale of what is wanted."""

import numpy as np
import pytest

from workshop.grading.compare import close

WANTED = np.array([[1.0, -2.0], [3.0, 1e-9]])


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (WANTED * (1 + 1e-10), WANTED),
        (WANTED.tolist(), WANTED),
        ([WANTED[0], WANTED[1]], WANTED),
        (3, 3.0),
        (np.float32(0.5), 0.5),
        (np.array(2.0), 2.0),
        ([1, 2], [1.0, 2.0]),
        ([np.ones(2), np.zeros((3, 1))], (np.ones(2), np.zeros((3, 1)))),
        (np.array([1, 2]), np.array([1, 2])),
        (np.array([1.0 + 0j]), np.array([1.0 + 1e-13j])),
        (np.array([True, False]), np.array([True, False])),
        (np.zeros((0, 2)), np.zeros((0, 2))),
        (np.zeros(2), np.zeros(2)),
        ([1e-20 * (1 + 1e-12)], [1e-20]),
    ],
)
def test_near_enough(found, wanted):
    assert close(found, wanted) is True


@pytest.mark.parametrize(
    ("found", "wanted", "says"),
    [
        (np.zeros((0, 1)), WANTED, "shape"),
        (np.zeros((0, 1, 1)), WANTED, "shape"),
        (1.0, np.ones(3), "shape"),
        (np.ones((1, 1)), 1.0, "shape"),
        (np.ones((2, 1)), np.ones(2), "shape"),
        ([], [WANTED], "0 parts, wanted 1"),
        ([np.zeros((0, 1, 1))], [WANTED], "shape"),
        (None, WANTED, "nothing"),
        (None, [WANTED], "nothing"),
        ({}, WANTED, "a dict"),
        ("1.0", 1.0, "a str"),
        ([[1.0], [1.0, 2.0]], WANTED, "no array"),
        (WANTED * np.nan, WANTED, "4 of 4 entries are not finite"),
        (np.array([1.0, np.inf]), np.array([1.0, 2.0]), "not finite"),
        (WANTED * 0, WANTED, "differ: got 0, wanted 1"),
        (np.full(3, 1e-12), np.full(3, 2e-12), "differ"),
        (np.full(3, 1e-12), np.zeros(3), "differ"),
        (np.array([1.0, 1e-9]), np.array([1.0, 2e-9]), "1 of 2 entries differ"),
        (np.array([True]), np.array([1.0]), "got bool, wanted float64"),
        (np.array([1j]), np.array([0.0]), "got complex128"),
        (2.0000001, 2, "differ"),
        (np.inf, np.inf, "nothing is close"),
        (np.nan, np.nan, "nothing is close"),
        (1.0, "1.0", "nothing is close"),
        ([1e308 * 10, -1e308], [1e308, -1e308], "not finite"),
        (-1e308, 1e308, "differ"),
    ],
)
def test_not_near(found, wanted, says):
    with pytest.raises(AssertionError, match=says):
        close(found, wanted)


def test_tolerances_can_be_widened():
    assert close([1.0, 1e-6], [1.0, 2e-6], floor=1e-5)
    assert close(1.001, 1.0, 0.01)
