from __future__ import annotations

import numpy as np
import pytest

from gradclinic.course import data


def test_digits_are_standardised_by_the_training_part():
    split = data.digits(1000, 500)
    assert [a.shape for a in split] == [(1000, 64), (1000,), (500, 64), (500,)]
    assert split.x_train.dtype == split.x_test.dtype == np.float64
    assert split.y_train.dtype == split.y_test.dtype == np.int64
    assert set(split.y_train) == set(split.y_test) == set(range(10))
    np.testing.assert_allclose(split.x_train.mean(axis=0), 0, atol=1e-12)
    std = split.x_train.std(axis=0)
    constant = std == 0
    assert 0 < constant.sum() < 10
    np.testing.assert_allclose(std[~constant], 1, rtol=1e-12)
    assert not split.x_train[:, constant].any()
    assert not split.x_test[:, constant].any()
    assert np.isfinite(split.x_test).all()


def test_a_pixel_that_is_constant_in_training_is_zero_in_testing_too():
    split = data.digits(5, 1792)
    constant = split.x_train.std(axis=0) == 0
    assert constant.sum() > 10
    assert not split.x_test[:, constant].any()


def test_digits_are_shuffled_by_the_generator():
    default, again = data.digits(), data.digits(rng=np.random.default_rng(0))
    for a, b in zip(default, again, strict=True):
        np.testing.assert_array_equal(a, b)
    other = data.digits(rng=np.random.default_rng(1))
    assert (default.y_train != other.y_train).any()


def test_training_and_testing_images_are_different_images():
    from sklearn.datasets import load_digits

    split = data.digits(1297, 500, np.random.default_rng(2))
    labels = np.concatenate([split.y_train, split.y_test])
    np.testing.assert_array_equal(np.bincount(labels), np.bincount(load_digits().target))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((1500, 500), ValueError, "n_train: got 1500 [+] n_test 500 images, wanted at most 1797"),
        ((0, 5), ValueError, "n_train: got 0, wanted at least 1"),
        ((5, -1), ValueError, "n_test: got -1, wanted at least 0"),
        ((5.0, 1), TypeError, "n_train: got 5.0 of type float"),
    ],
)
def test_digits_refuse(arguments, error, words):
    with pytest.raises(error, match=words):
        data.digits(*arguments)


def test_two_moons_lie_on_two_half_circles():
    x, y = data.two_moons(401, np.random.default_rng(3), noise=0.0)
    assert x.shape == (401, 2)
    assert np.bincount(y).tolist() == [201, 200]
    upper, lower = x[y == 0], x[y == 1]
    np.testing.assert_allclose(np.hypot(*upper.T), 1, rtol=1e-12)
    np.testing.assert_allclose(np.hypot(lower[:, 0] - 1, lower[:, 1] - 0.5), 1, rtol=1e-12)
    assert (upper[:, 1] >= 0).all()
    assert (lower[:, 1] <= 0.5).all()
    assert (np.diff(y) != 0).sum() > 100  # in random order
    noisy, _ = data.two_moons(401, np.random.default_rng(3), noise=0.2)
    assert (noisy - x).std() == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize("classes", [2, 3])
def test_spirals_turn_as_told(classes):
    x, y = data.spirals(600, np.random.default_rng(4), classes=classes, turns=1.25, noise=0.0)
    assert np.bincount(y).tolist() == [600 // classes] * classes
    radius = np.hypot(*x.T)
    assert radius.max() <= 1
    angle = 2 * np.pi * (1.25 * radius + y / classes)
    np.testing.assert_allclose(x, radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), atol=1e-12)
    with pytest.raises(ValueError, match="classes: got 1, wanted at least 2"):
        data.spirals(10, np.random.default_rng(0), classes=1)


@pytest.mark.parametrize("length", [2, 3, 50])
def test_adding_problem_marks_one_number_in_either_half(length):
    x, y = data.adding_problem(2000, length, np.random.default_rng(5))
    assert x.shape == (2000, length, 2)
    assert y.shape == (2000, 1)
    values, marks = x[..., 0], x[..., 1]
    assert set(np.unique(marks)) <= {0.0, 1.0}
    assert (marks[:, : length // 2].sum(axis=1) == 1).all()
    assert (marks[:, length // 2 :].sum(axis=1) == 1).all()
    np.testing.assert_allclose(y[:, 0], (values * marks).sum(axis=1), rtol=1e-15)
    # always answering 1 costs 1/6: twice the variance 1/12 of a uniform number
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, rel=0.08)


def test_latch_shows_the_bit_once():
    x, y = data.latch(3000, 12, np.random.default_rng(6), noise=0.5)
    assert x.shape == (3000, 12, 1)
    np.testing.assert_array_equal(x[:, 0, 0], 2 * y - 1)
    assert set(y) == {0, 1}
    assert x[:, 1:].std() == pytest.approx(0.5, rel=0.02)
    assert abs(np.corrcoef(x[:, 1:, 0].sum(axis=1), y)[0, 1]) < 0.08


@pytest.mark.parametrize("length", [10, 37, 100])
def test_temporal_order(length):
    x, y = data.temporal_order(500, length, np.random.default_rng(7))
    assert x.shape == (500, length, 6)
    assert (x.sum(axis=-1) == 1).all()
    symbols = x.argmax(axis=-1)
    relevant = symbols < 2
    assert (relevant.sum(axis=1) == 2).all()
    steps = relevant.nonzero()[1].reshape(500, 2)
    assert steps[:, 0].min() >= length // 10
    assert steps[:, 0].max() < 2 * length // 10
    assert steps[:, 1].min() >= 4 * length // 10
    assert steps[:, 1].max() < 5 * length // 10
    first, second = np.take_along_axis(symbols, steps, axis=1).T
    np.testing.assert_array_equal(y, 2 * first + second)
    assert set(y) == {0, 1, 2, 3}
    assert set(symbols.ravel()) == set(range(6))


@pytest.mark.parametrize(("task", "length"), [(data.adding_problem, 1), (data.latch, 0), (data.temporal_order, 9)])
def test_sequences_that_are_too_short_are_refused(task, length):
    with pytest.raises(ValueError, match=f"length: got {length}, wanted at least {length + 1}"):
        task(5, length, np.random.default_rng(0))
    with pytest.raises(ValueError, match="n: got 0, wanted at least 1"):
        task(0, 20, np.random.default_rng(0))


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: data.two_moons(20, rng),
        lambda rng: data.spirals(20, rng),
        lambda rng: data.adding_problem(5, 20, rng),
        lambda rng: data.latch(5, 20, rng),
        lambda rng: data.temporal_order(5, 20, rng),
    ],
)
def test_the_generator_alone_decides(draw):
    (x, y), (x_again, y_again) = (draw(np.random.default_rng(8)) for _ in range(2))
    np.testing.assert_array_equal(x, x_again)
    np.testing.assert_array_equal(y, y_again)
    assert (draw(np.random.default_rng(9))[0] != x).any()
