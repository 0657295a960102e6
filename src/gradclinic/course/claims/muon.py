"""Claims about Muon, whose steps are equally long in every direction of a matrix."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from gradclinic import init, numpy_net
from gradclinic.course.claims.claim import Case, Claim, Settles, entry
from gradclinic.course.claims.experiments import treated
from gradclinic.spec import MLP

CLAIMS: list[Claim] = []
settles: Settles = partial(entry, CLAIMS)


@cache
def muon_training(loss_scale: float, bad_batch: bool, limit: float, *, steps: int = 120) -> tuple[np.ndarray, float]:
    """Five ReLU networks of three layers on the digits, hidden weights by Muon, the rest by Adam, rate 0.01.

    Every loss is multiplied by ``loss_scale``. With ``bad_batch`` the sixtieth batch has random labels and a loss a
    thousand times larger. Before both rules step, the norm of the whole gradient is limited to ``limit``. Returns the
    training losses at the end ``(5,)`` and the largest share by which a step was longer than the median one.
    """
    import torch

    from gradclinic import torch_net
    from gradclinic.course import ensemble, remedies

    ward, order = remedies.ward(), np.random.default_rng(0)
    x, y = torch.as_tensor(ward.x, dtype=torch.float32), torch.as_tensor(ward.y)
    spec = MLP((64, 64, 64, 10), "relu")
    net = torch_net.build(spec, init.mlp(spec, np.random.default_rng(10), ensemble=5), dtype="float32")
    hidden = [linear.weight for linear in net.linears[:-1]]
    others = [p for p in net.parameters() if all(p is not weight for weight in hidden)]
    rules = ensemble.Muon(hidden, lr=0.01), torch.optim.Adam(others, lr=0.01)
    lengths = []
    for step in range(steps):
        batch = order.choice(len(y), 50, replace=False)
        bad = bad_batch and step == 60
        labels = torch.as_tensor(order.integers(0, 10, 50)) if bad else y[batch]
        loss = loss_scale * (1000 if bad else 1) * torch_net.loss_function(net(x[batch]), labels)
        gradients, _ = ensemble.clip(torch.autograd.grad(loss.sum(), list(net.parameters())), limit)
        for p, g in zip(net.parameters(), gradients, strict=True):
            p.grad = g.contiguous()
        before = [weight.detach().clone() for weight in hidden]
        for rule in rules:
            rule.step()
        moved = [weight.detach() - old for weight, old in zip(hidden, before, strict=True)]
        lengths.append(ensemble.global_norm(moved).max().item())
    with torch.no_grad():
        losses = torch_net.loss_function(net(x), y).numpy()
    return losses, max(lengths) / float(np.median(lengths))


@cache
def gradients_of_patient_a() -> tuple[np.ndarray, ...]:
    """Weight gradients of patient A's five networks on 200 digits, one array ``(5, n_out, n_in)`` a layer."""
    from gradclinic.course import remedies

    treatment, ward = treated("A", "none")[0], remedies.ward()
    return numpy_net.gradients(treatment.spec, treatment.params, ward.x[:200], ward.y[:200]).weights


@settles(
    "belief-muon-no-clipping",
    statement="Muon needs no clipping",
    page="today/orthogonal-steps",
    mark="Does Muon need clipping",
    verdict="conditional",
    why="the length of its step needs none; its running mean does, which remembers one bad batch for tens of steps",
    held=(3, 4),
)
def _muon_no_clipping() -> Iterator[Case]:
    free, limited = (muon_training(1.0, False, limit)[0] for limit in (np.inf, 1.0))
    yield Case(
        "digits, ordinary batches: as low a loss as with a limit of 1",
        np.median(free) < 0.2,
        f"loss {np.median(free):.2f} without, {np.median(limited):.2f} with a limit",
    )
    large = muon_training(1000.0, False, np.inf)[0]
    yield Case("digits, every loss times 1000", np.median(large) < 0.2, f"loss {np.median(large):.2f} without a limit")
    free, longest = muon_training(1.0, True, np.inf)
    limited = muon_training(1.0, True, 1.0)[0]
    yield Case(
        "digits, one batch of random labels with a thousandfold loss: no step is too long",
        longest < 1.5,
        f"longest step {longest:.1f} times the median one",
    )
    yield Case(
        "the same: the loss sixty steps later",
        np.median(free) < 0.2,
        f"loss {np.median(free):.1f} without, {np.median(limited):.2f} with a limit",
    )


@settles(
    "belief-muon-every-direction",
    statement="Muon steps equally far in every direction of a matrix",
    page="today/orthogonal-steps",
    mark="equally long",
    verdict="false",
    why="within a factor of two, for directions above a 500th of the norm; five iterations lift by at most 485",
    held=(1, 3),
)
def _muon_every_direction() -> Iterator[Case]:
    import torch

    from gradclinic.course import ensemble

    rng = np.random.default_rng(0)
    gradients = gradients_of_patient_a()
    for name, matrix in (
        ("a matrix of random numbers, 32 x 64", rng.standard_normal((32, 64))),
        ("patient A, gradient of layer 2", gradients[1][0]),
        ("patient A, gradient of layer 9", gradients[8][0]),
    ):
        lengths = torch.linalg.svdvals(ensemble.orthogonalized(torch.tensor(matrix))).numpy()
        said = f"longest {lengths[0]:.2f}, shortest {lengths[-1]:.1g}"
        yield Case(name, lengths[-1] > lengths[0] / 2, said)


@settles(
    "belief-adam-equals-muon-in-rank",
    statement="dividing by its size gives a gradient back its lost directions",
    page="today/orthogonal-steps",
    mark="it finds no second direction in it",
    verdict="false",
    why="the signs of a matrix with one direction have one direction; it takes a rule that sees the matrix",
    held=(0, 3),
)
def _adam_directions() -> Iterator[Case]:
    gradients = gradients_of_patient_a()
    for layer in (6, 8, 10):
        counts = []
        for matrix in (gradients[layer - 1], np.sign(gradients[layer - 1])):
            lengths = np.linalg.svd(matrix, compute_uv=False)
            counts.append(int(np.median(np.sum(lengths > 0.01 * lengths[:, :1], axis=1))))
        said = f"directions longer than a hundredth of the longest: {counts[0]} before, {counts[1]} in its signs"
        yield Case(f"patient A, layer {layer}", counts[1] > counts[0], said)
