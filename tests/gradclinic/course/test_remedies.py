from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gradclinic import init, torch_net
from gradclinic.course import registry, remedies
from gradclinic.course.remedies import PATIENTS, REMEDIES


def test_the_patients_have_the_disease_their_title_names():
    assert remedies.profile(remedies.treat("A", "none")).verdict == "vanishing"
    assert remedies.profile(remedies.treat("B", "none")).verdict == "exploding"
    assert set(remedies.profile(remedies.treat("A", "none", seeds=20)).verdicts) == {"vanishing"}
    assert set(remedies.profile(remedies.treat("B", "none", seeds=20)).verdicts) == {"exploding"}


def test_the_ward_keeps_its_three_parts_apart():
    here = remedies.ward()
    assert (len(here.y), len(here.y_validation), len(here.y_test)) == (1000, 297, 500)
    rows = np.concatenate([here.x, here.x_validation, here.x_test])
    assert len(np.unique(rows, axis=0)) == len(rows)


@pytest.mark.parametrize("remedy", REMEDIES)
@pytest.mark.parametrize("patient", PATIENTS)
def test_every_remedy_can_be_prescribed_and_trained(patient, remedy):
    treatment = remedies.treat(patient, remedy, seeds=2)
    assert remedies.profile(treatment, samples=20).delta.shape == (2, PATIENTS[patient].spec.depth)
    run = remedies.train(treatment, (1e-4, 1e-2), steps=2)
    assert run.loss.shape == (2, 2, 2)
    assert run.accuracy.shape == run.validation.shape == run.finite.shape == (2, 2)
    np.testing.assert_array_equal(run.loss[0, 0], run.loss[0, 1])  # the first loss does not know the rate


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adam"}, {"clip_norm": 0.1}, {"l2": 0.01}, {"l1": 1e-3}])
def test_a_member_trains_as_it_would_alone_with_the_frameworks_own_optimiser(changes):
    treatment = replace(remedies.treat("A", "batch-normalization", seeds=2), **changes)
    together = remedies.train(treatment, (0.01, 0.1), steps=5)
    member = type(treatment.params)(*(tuple(a[1] for a in part) for part in vars(treatment.params).values()))
    net = torch_net.build(treatment.spec, member, dtype="float32")
    make = torch.optim.Adam if changes.get("optimizer") else torch.optim.SGD
    rule = make(net.parameters(), lr=0.1)
    here, order = remedies.ward(), np.random.default_rng(0)
    for step in range(5):
        rows = order.choice(1000, remedies.BATCH, replace=False)
        loss = torch_net.loss_function(
            net(torch.as_tensor(here.x[rows], dtype=torch.float32)), torch.as_tensor(here.y[rows])
        )
        assert loss.item() == pytest.approx(together.loss[step, 1, 1], rel=1e-4)
        rule.zero_grad()
        weights = [m.weight for m in net.linears]
        penalty = sum(
            changes.get("l2", 0) / 2 * w.square().sum() + changes.get("l1", 0) * w.abs().sum() for w in weights
        )
        (loss + penalty).backward()
        if "clip_norm" in changes:
            torch.nn.utils.clip_grad_norm_(net.parameters(), changes["clip_norm"])
        rule.step()


def test_gradient_penalty_is_the_derivative_of_what_it_says():
    treatment = replace(remedies.treat("A", "initialization", seeds=2), gradient_penalty=0.5)
    net = remedies.module(treatment, dtype="float64")
    here = remedies.ward()
    x, y = torch.as_tensor(here.x[:6]), torch.as_tensor(here.y[:6])
    _, grads = remedies._gradients(net, x, y, treatment)

    def objective() -> torch.Tensor:
        inputs = x.expand(2, 6, 64).clone().requires_grad_(True)
        loss = torch_net.loss_function(net(inputs), y)
        (g,) = torch.autograd.grad(6 * loss.sum(), inputs)
        return (loss + 0.5 * g.square().sum(-1).mean(-1)).detach()

    bias = net.linears[3].bias
    kept, values = bias[1, 2].item(), []
    for step in (1e-5, -1e-5):
        with torch.no_grad():
            bias[1, 2] = kept + step
        values.append(objective())
    slope = (values[0] - values[1]) / 2e-5
    position = [id(p) for p in net.parameters()].index(id(bias))
    assert grads[position][1, 2].item() == pytest.approx(slope[1].item(), rel=1e-5)
    assert slope[0] == 0.0  # the other member feels nothing


def test_a_member_that_diverges_disturbs_no_other():
    treatment = remedies.treat("B", "none", seeds=2)
    run = remedies.train(treatment, (1e-7, 10.0), steps=4)
    assert run.finite[0].all()
    assert not run.finite[1].any()
    alone = remedies.train(treatment, (1e-7,), steps=4)
    np.testing.assert_allclose(run.loss[:, 0], alone.loss[:, 0], rtol=1e-5)


@pytest.mark.parametrize("remedy", ["residual-normalized", "adaptive-optimizers", "highway", "muon"])
def test_what_the_search_lets_go_on_trains_as_if_alone(remedy, monkeypatch):
    monkeypatch.setattr(remedies, "AUDITION", 6)
    treatment = remedies.treat("A", remedy, seeds=2)
    found = remedies.search(treatment, steps=12)
    full = remedies.train(treatment, steps=12)
    went_on = found.steps == 12
    assert went_on.sum() == remedies.KEPT
    assert set(found.steps[~went_on]) == {6}
    at_six = remedies.train(treatment, steps=6)
    middle = np.median(at_six.validation, axis=1)
    assert middle[went_on].min() >= middle[~went_on].max()
    np.testing.assert_allclose(found.loss[:6], at_six.loss, rtol=1e-5)
    np.testing.assert_allclose(found.loss[:, went_on], full.loss[:, went_on], rtol=1e-3)
    assert np.all(found.loss[6:, ~went_on] == 0)
    for name in ("accuracy", "validation"):
        np.testing.assert_array_equal(getattr(found, name)[~went_on], getattr(at_six, name)[~went_on])
        np.testing.assert_allclose(getattr(found, name)[went_on], getattr(full, name)[went_on], atol=0.011)


def test_best_is_a_rate_that_was_trained_to_the_end():
    run = remedies.search(remedies.treat("A", "residual", seeds=2), steps=80)
    early = replace(run, validation=np.where(run.steps[:, None] == 80, run.validation, 1.0))
    assert early.best == run.best
    assert run.steps[run.best] == 80
    assert set(remedies.search(remedies.treat("A", "residual", seeds=2), steps=5).steps) == {5}


def test_the_rate_is_chosen_on_digits_that_do_not_count():
    """By validation accuracy: what is reported is read off the test digits afterwards, at the rate so chosen."""
    run = remedies.Run(
        rates=np.array([0.1, 1.0, 10.0]),
        steps=np.array([80, 80, 80]),
        accuracy=np.array([[0.6, 0.6], [0.7, 0.9], [0.95, 0.95]]),
        validation=np.array([[0.5, 0.5], [0.9, 0.9], [0.8, 0.8]]),
        loss=np.zeros((80, 3, 2)),
        finite=np.ones((3, 2), dtype=bool),
    )
    assert run.best == 1
    row = remedies.Row(patient=None, remedy=None, treatment=None, profile=None, run=run)
    assert row.rate == 1.0
    np.testing.assert_array_equal(row.accuracy, [0.7, 0.9])


def test_the_rates_that_go_on_are_chosen_on_digits_that_do_not_count(monkeypatch):
    """Training with made-up outcomes: large rates read most of the validation digits, small ones of the test digits."""
    gone_on = []

    class Made:
        def __init__(self, treatment, rates, rng):
            self.rates = rates

        def advance(self, steps, batch):
            return np.zeros((steps, len(self.rates), 1))

        def result(self, steps, loss):
            size, read = len(self.rates), self.rates[:, None]
            return remedies.Run(self.rates, np.full(size, steps), -read, read.copy(), loss, np.ones((size, 1), bool))

        def only(self, kept):
            gone_on.extend(kept)
            return Made(None, self.rates[kept], None)

    monkeypatch.setattr(remedies, "Training", Made)
    found = remedies.search(None)
    count = len(remedies.LEARNING_RATES)
    assert gone_on == list(range(count - remedies.KEPT, count))
    assert found.best == count - 1


@pytest.mark.parametrize(("patient", "remedy"), [("A", "batch-normalization"), ("B", "initialization"), ("B", "none")])
def test_the_search_chooses_what_nine_whole_runs_choose(patient, remedy):
    treatment = remedies.treat(patient, remedy, rng=np.random.default_rng(7))  # not the seed of the matrix
    found, full = remedies.search(treatment), remedies.train(treatment)
    assert found.best == full.best
    np.testing.assert_allclose(found.accuracy[found.best], full.accuracy[full.best], atol=0.02)


def test_highway_carries_its_input_past_a_closed_gate():
    treatment = replace(remedies.treat("A", "highway", seeds=2), gate_bias=-40.0)
    net = remedies.module(treatment, dtype="float64")
    x = torch.randn(5, 64, dtype=torch.float64)
    first = torch.sigmoid(net.linears[0](x))
    torch.testing.assert_close(net(x), net.linears[-1](first))


def test_features_are_what_the_output_layer_reads():
    treatment = remedies.treat("A", "none", seeds=2)
    net, here = remedies.module(treatment, dtype="float64"), remedies.ward()
    a = torch.as_tensor(remedies.features(treatment, samples=7))
    torch.testing.assert_close(net.linears[-1](a), net(torch.as_tensor(here.x[:7])))


def test_every_row_of_the_registry_has_its_prescription():
    assert list(remedies.PRESCRIPTIONS) == list(registry.REMEDIES)


def test_the_registry_says_what_the_gains_are():
    for name in ("gelu", "silu"):
        assert f"{init.gain(name) ** 2:.2f}/fan-in" in registry.REMEDIES[name].changes


def test_an_orthogonal_start_scales_every_length_by_the_gain():
    params = remedies.treat("B", "initialization-orthogonal", seeds=2).params
    for weight in params.weights:
        gram = weight @ weight.mT if weight.shape[-2] <= weight.shape[-1] else weight.mT @ weight
        np.testing.assert_allclose(gram, np.broadcast_to(2 * np.eye(gram.shape[-1]), gram.shape), atol=1e-12)


def test_loss_is_over_all_training_digits_and_leaves_running_statistics_alone():
    training = remedies.Training(
        remedies.treat("A", "batch-normalization", seeds=2), np.array([0.1]), np.random.default_rng(0)
    )
    before = [buffer.clone() for buffer in training.net.buffers()]
    here = remedies.ward()
    with torch.no_grad():
        output = training.net(torch.as_tensor(here.x, dtype=torch.float32))
        wanted = torch_net.loss_function(output, torch.as_tensor(here.y)).tolist()
    for buffer, old in zip(training.net.buffers(), before, strict=True):
        buffer.copy_(old)
    np.testing.assert_allclose(training.loss(), [wanted], rtol=1e-6)
    for buffer, old in zip(training.net.buffers(), before, strict=True):
        torch.testing.assert_close(buffer, old, rtol=0, atol=0)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="patient: got 'C', wanted one of A, B"):
        remedies.treat("C", "none")
    with pytest.raises(ValueError, match="remedy: got 'prayer'"):
        remedies.treat("A", "prayer")


def test_every_remedy_has_a_measured_cost():
    assert {(p, r) for r, by in remedies._costs().items() for p in by} == {
        (p, r) for p in PATIENTS for r in registry.REMEDIES
    }
    assert all(0.5 < remedies.cost(p, "none") < 2 for p in PATIENTS)
    assert all(remedies.cost(p, "batch-normalization") > 1 for p in PATIENTS)


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [([0.86, 0.9, 0.2], "reads digits"), (0.85, "partly"), ([0.9, 0.26, 0.1], "partly"), (0.25, "near chance")],
)
def test_the_word_for_an_outcome_goes_by_the_median(accuracy, said):
    assert remedies.word(accuracy) == said
