from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from gradclinic import measure
from gradclinic.measure import GradientProfile, first_nonfinite, verdict


def geometric(factor, layers=6):
    """A profile that grows by ``factor`` per layer towards the input."""
    delta = float(factor) ** np.arange(layers - 1, -1, -1)
    return GradientProfile(tuple(f"layer {i}" for i in range(1, layers + 1)), delta, delta)


@pytest.mark.parametrize("factor", [0.25, 1.0, 3.0])
def test_factor_and_ratios_of_a_geometric_profile(factor):
    profile = geometric(factor)
    assert profile.factor == pytest.approx(factor, rel=1e-12)
    np.testing.assert_allclose(profile.ratios, factor, rtol=1e-12)
    smaller = GradientProfile(profile.names, 1e-3 * profile.delta, profile.weight)
    assert smaller.factor == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(
    ("delta", "wanted"),
    [
        ([0.011, 1.0], "healthy"),
        ([0.01, 1.0], "healthy"),
        ([100.0, 1.0], "healthy"),
        ([1.0, 0.0, 1.0], "healthy"),  # the two ends are compared
        ([1.0, 1.0, 0.0], "exploding"),
        ([0.009, 1.0], "vanishing"),
        ([0.0, 1.0], "vanishing"),
        ([0.0, 0.0], "vanishing"),
        ([99.0, 1.0], "healthy"),
        ([101.0, 1.0], "exploding"),
        ([1.0, 0.0], "exploding"),
        ([1e300, 1e-300], "exploding"),
        ([1.0, np.nan, 1.0], "non-finite"),
        ([np.inf, 1.0], "non-finite"),
        ([0.0, np.inf], "non-finite"),
        ([5.0], "healthy"),
    ],
)
def test_verdict(delta, wanted):
    assert verdict(np.array(delta)) == wanted


def test_verdict_needs_one_profile():
    with pytest.raises(ValueError, match=r"delta: got shape \(2, 3\), wanted \(L,\)"):
        verdict(np.ones((2, 3)))


def test_non_finite_weight_gradient_counts():
    assert GradientProfile(("a", "b"), np.ones(2), np.array([1.0, np.nan])).verdict == "non-finite"


def test_ensemble_profile():
    delta = np.array([[1e-9, 1.0], [1.0, 1.0], [2.0, 1.0]])
    profile = GradientProfile(("a", "b"), delta, delta, np.arange(3.0))
    assert list(profile.verdicts) == ["vanishing", "healthy", "healthy"]
    assert profile.verdict == "healthy"  # of the median
    np.testing.assert_allclose(profile.factor, [1e-9, 1.0, 2.0])
    assert GradientProfile(("a", "b"), delta[[0, 0, 1]], delta[[0, 0, 1]]).verdict == "vanishing"
    assert len(profile) == 3
    assert str(profile) == "profiles of (3,) networks, 2 layers: healthy"
    assert profile[0].verdict == "vanishing"
    assert profile[2].loss == 2.0
    with pytest.raises(TypeError, match="no members"):
        profile[0][0]


def test_profile_refuses_parts_that_do_not_fit():
    with pytest.raises(ValueError, match=r"weight: got shape \(3,\), wanted \(..., 2\)"):
        GradientProfile(("a", "b"), np.ones(2), np.ones(3))


def test_records_cannot_be_changed():
    for record, field in ((geometric(0.5), "loss"), (measure.History(np.ones(3)), "loss")):
        with pytest.raises(FrozenInstanceError):
            setattr(record, field, 0.0)


def test_profile_prints_a_table_with_its_verdict():
    text = str(geometric(0.1))
    assert text.splitlines()[-1] == "factor per layer 0.1: vanishing"
    assert "1.00e-05" in text


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200, 0.0])
def test_sample_norm_neither_under_nor_overflows(scale):
    delta = np.array([[3.0, 4.0], [0.0, 0.0]]) * scale
    assert measure.sample_norm(delta) == pytest.approx(5 / np.sqrt(2) * scale, rel=1e-14)
    assert measure.frobenius(delta) == pytest.approx(5 * scale, rel=1e-14)


def test_norms_of_an_ensemble_are_those_of_its_members():
    arrays = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
    for norm in (measure.sample_norm, measure.frobenius):
        assert norm(arrays).shape == (2, 3)
        np.testing.assert_allclose(norm(arrays)[1, 2], norm(arrays[1, 2]), rtol=1e-14)
    np.testing.assert_allclose(measure.frobenius(arrays), np.linalg.norm(arrays, axis=(-2, -1)), rtol=1e-14)


def test_a_profile_of_an_ensemble_has_a_row_for_each_member():
    rng = np.random.default_rng(1)
    delta = [rng.normal(size=(3, 5, width)) for width in (4, 2)]
    gradients = [rng.normal(size=(3, 4, 6)), rng.normal(size=(3, 2, 4))]
    found = measure.profile_from(("a", "b"), delta, gradients, np.arange(3.0))
    assert found.delta.shape == found.weight.shape == (3, 2)
    assert found.delta[2, 1] == measure.sample_norm(delta[1][2])
    assert found.weight[2, 1] == measure.frobenius(gradients[1][2])


def test_sample_norm_keeps_nan_and_inf():
    assert np.isnan(measure.sample_norm(np.array([[np.nan, 1.0]])))
    assert measure.sample_norm(np.array([[np.inf, 1.0]])) == np.inf


def test_first_nonfinite_names_the_first_array_in_order():
    arrays = [("z1", np.ones(3)), ("a1", np.array([[1.0, np.inf], [np.nan, 1.0]])), ("z2", np.array([np.nan]))]
    assert first_nonfinite(arrays) == ("a1", (0, 1), "inf", 2)
    assert first_nonfinite(arrays[2:]).kind == "nan"
    assert first_nonfinite(arrays[:1]) is None


def test_saturated_and_dead_fractions():
    z = np.array([[0.0, 4.3, 4.4, -9.0]])
    assert measure.saturated_fraction(z, "sigmoid") == 0.5
    assert measure.saturated_fraction(np.array([2.1, 2.3]), "tanh") == 0.5
    assert measure.saturated_fraction(np.array([0.0]), "sigmoid", share=1.0) == 0.0  # not below the largest
    z = np.array([[[-1.0, 1.0], [-2.0, -1.0]], [[-1.0, -1.0], [-1.0, -1.0]]])
    np.testing.assert_array_equal(measure.dead_fraction(z), [0.5, 1.0])
    assert measure.dead_fraction(z[0], "leaky_relu") == 0.0


def test_update_ratio():
    assert measure.update_ratio(np.array([3.0, 4.0]), np.array([0.0, 0.005])) == pytest.approx(1e-3)
    with pytest.raises(ValueError, match="weight: got all zeros"):
        measure.update_ratio(np.zeros(2), np.ones(2))
    with pytest.raises(ValueError, match=r"update: got shape \(3,\)"):
        measure.update_ratio(np.ones(2), np.ones(3))


def test_numerical_gradient_and_its_u_curve():
    x = np.array([[0.3, -1.2], [2.0, 0.7]])
    exact = np.cos(x)
    errors = {
        h: np.abs(measure.numerical_gradient(lambda x: np.sin(x).sum(), x, h) - exact).max()
        for h in (1e-1, 6e-6, 1e-12)
    }
    assert errors[6e-6] < 1e-9
    by_itself = measure.numerical_gradient(lambda x: np.sin(x).sum(), x)
    np.testing.assert_allclose(by_itself, exact, atol=1e-9)
    assert errors[1e-1] > 1e-4  # truncation
    assert errors[1e-12] > 1e-6  # rounding


def test_participation_ratio_counts_directions():
    rng = np.random.default_rng(0)
    line = np.outer(rng.normal(size=50), rng.normal(size=8))
    assert measure.participation_ratio(line + 3.0) == pytest.approx(1.0)
    even = np.concatenate([np.eye(6, 8), -np.eye(6, 8)])
    assert measure.participation_ratio(even) == pytest.approx(6.0)
    np.testing.assert_allclose(measure.participation_ratio(np.stack([even, 1e-120 * even, 1e120 * even])), 6.0)
    uneven = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # variances 4 and 1
    assert measure.participation_ratio(uneven) == pytest.approx(25 / 17)
    assert np.isnan(measure.participation_ratio(np.ones((4, 3))))
    with pytest.raises(ValueError, match=r"a: got shape \(3,\)"):
        measure.participation_ratio(np.ones(3))
