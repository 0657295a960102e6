"""Two patients, one row per remedy: the same two sick networks under every treatment of the book.

Names, pages and patients stand in :mod:`gradclinic.course.registry`; here each key gets its prescription, a function
from a patient to a :class:`Treatment`: which network, which weights, which rule of descent.
Every row of the matrix is then examined in the same way (:func:`examine`): gradient profile before training, and
accuracy after the same number of steps at the best of the same learning rates, over several seeds trained at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files

import numpy as np
import torch
from torch import nn

from gradclinic import init, pretrain, torch_net
from gradclinic.course import data, ensemble, registry
from gradclinic.course.registry import PATIENTS, REMEDIES, Patient, Remedy
from gradclinic.measure import GradientProfile
from gradclinic.spec import MLP, Parameters

SEEDS, STEPS, BATCH = 5, 200, 50
LEARNING_RATES = tuple(10.0**k for k in np.arange(-4, 0.1, 0.5))  # the search, the same for every row:
AUDITION, KEPT = 75, 3  # after so many steps only so many rates go on


@dataclass(frozen=True)
class Treatment:
    """A patient under a remedy.

    ``spec`` and ``params`` (an ensemble, one member per seed): the network. ``optimizer``: a name of
    ``torch_net.OPTIMIZERS``, or ``"muon"``: hidden weights by :class:`ensemble.Muon`, the rest by Adam, at one rate.
    ``clip_norm``: largest global norm of a member's gradient. ``l2``, ``l1``: strength of the penalties
    ``(l2/2) sum w^2`` and ``l1 sum |w|`` on weights. ``gradient_penalty``: strength of ``mean_i ||dC_i/dx_i||^2``.
    ``gate_bias``: if given, hidden layers that keep their width become highway layers, see :class:`Highway`.
    """

    spec: MLP
    params: Parameters
    optimizer: str = "sgd"
    clip_norm: float | None = None
    l2: float = 0.0
    l1: float = 0.0
    gradient_penalty: float = 0.0
    gate_bias: float | None = None


class Highway(torch_net.MLPNet):
    """The LSTM's gate turned from time to depth: ``a_l = t * phi(z_l) + (1 - t) * a_{l-1}``, ``t = sigmoid(V_l
    a_{l-1} + c)``.

    With ``c = gate_bias < 0`` the carry ``1 - t`` starts near 1, like a forget gate with a positive bias (Srivastava,
    Greff & Schmidhuber 2015, eq. 3). Gate weights start at 0, so the carry is the same for every unit and input at
    first.
    """

    def __init__(self, spec: MLP, members: int, dtype: torch.dtype, gate_bias: float) -> None:
        """Add one gate per hidden layer that keeps its width."""
        super().__init__(spec, members, dtype)
        self.gates = nn.ModuleDict()
        for layer in range(1, spec.depth):
            if spec.widths[layer] == spec.widths[layer - 1]:
                width = spec.widths[layer]
                gate = torch_net.EnsembleLinear(members, width, width, True, dtype)
                assert gate.bias is not None
                nn.init.constant_(gate.bias, gate_bias)
                self.gates[str(layer)] = gate

    def forward(self, a: torch.Tensor) -> torch.Tensor:
        """``(batch, n_0)`` -> ``(E, batch, n_L)``."""
        layers = zip(self.linears[:-1], self.norms, self.activations, strict=True)
        for layer, (linear, norm, activation) in enumerate(layers, start=1):
            branch = activation(norm(linear(a)))
            if str(layer) in self.gates:
                t = torch.sigmoid(self.gates[str(layer)](a))
                branch = torch.lerp(a, branch, t)
            a = branch
        return self.linears[-1](a)


def module(treatment: Treatment, copies: int = 1, dtype: str = "float32") -> torch_net.MLPNet:
    """Build the treated network; ``copies`` repeats the whole ensemble, for ``copies`` learning rates at once."""

    def repeated(arrays: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        return tuple(np.concatenate([a] * copies) for a in arrays)

    params = Parameters(*(repeated(part) for part in vars(treatment.params).values()))
    if treatment.gate_bias is None:
        return torch_net.build(treatment.spec, params, dtype=dtype)
    (members,) = params.ensemble
    net = Highway(treatment.spec, members, getattr(torch, dtype), treatment.gate_bias)
    return torch_net.load(net, params)


@dataclass(frozen=True)
class Ward:
    """The data on which every row is examined: training, validation (chooses the learning rate) and test."""

    x: np.ndarray
    y: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


@lru_cache(maxsize=1)
def ward() -> Ward:
    """1000 digits to train on, 297 to choose the learning rate, 500 to test; the split is fixed."""
    split = data.digits(n_train=1297, n_test=500, rng=np.random.default_rng(2026))
    return Ward(
        split.x_train[:1000],
        split.y_train[:1000],
        split.x_train[1000:],
        split.y_train[1000:],
        split.x_test,
        split.y_test,
    )


@dataclass(frozen=True)
class Run:
    """Training of every seed at every learning rate: ``accuracy`` and ``validation`` ``(rates, seeds)``, and the
    ``rates``.

    ``steps`` ``(rates,)``: how many were taken; everything else is as it was after the last of them. ``loss``
    ``(steps, rates, seeds)``: on the batch, before each step; 0 where no step was taken. ``finite`` ``(rates,
    seeds)``: whether every parameter is a number at the end.
    """

    rates: np.ndarray
    steps: np.ndarray
    accuracy: np.ndarray
    validation: np.ndarray
    loss: np.ndarray
    finite: np.ndarray

    @property
    def best(self) -> int:
        """Index of the rate with the highest median validation accuracy, of those that were trained to the end; the
        smallest rate on a tie."""
        ended = self.steps == self.steps.max()
        return int(np.argmax(np.where(ended, np.median(self.validation, axis=1), -1.0)))


def _gradients(net: torch_net.MLPNet, x: torch.Tensor, y: torch.Tensor, treatment: Treatment) -> tuple:
    """Loss per member and the gradient that the treatment's rule receives (penalties added, clipped)."""
    params = list(net.parameters())
    if treatment.gradient_penalty:
        assert net.members is not None
        x = x.expand(net.members, *x.shape).clone().requires_grad_(True)
        loss = torch_net.loss_function(net(x), y)
        (by_input,) = torch.autograd.grad(loss.sum() * len(y), x, create_graph=True)
        penalty = by_input.square().sum(-1).mean(-1)
        grads = torch.autograd.grad((loss + treatment.gradient_penalty * penalty).sum(), params)
    else:
        loss = torch_net.loss_function(net(x), y)
        grads = torch.autograd.grad(loss.sum(), params)
    with torch.no_grad():
        if treatment.l2 or treatment.l1:
            grads = [
                g + treatment.l2 * p + treatment.l1 * p.sign() if p.ndim == 3 else g
                for p, g in zip(params, grads, strict=True)
            ]
        if treatment.clip_norm is not None:
            grads, _ = ensemble.clip(grads, treatment.clip_norm)
    return loss.detach(), grads


def _rules(optimizer: str, net: torch_net.MLPNet) -> list[torch.optim.Optimizer]:
    """The rules that move the parameters of ``net`` at rate 1; plain descent needs none."""
    if optimizer == "sgd":
        return []
    params, matrices = list(net.parameters()), []
    if optimizer == "muon":
        matrices = [linear.weight for linear in net.linears[:-1]]
        others = [p for p in params if all(p is not matrix for matrix in matrices)]
        return [ensemble.Muon(matrices, lr=1.0), torch.optim.Adam(others, lr=1.0, fused=True)]
    fused = {"fused": True} if optimizer == "adam" else {}  # one pass over a parameter instead of ten
    return [torch_net.OPTIMIZERS[optimizer](params, lr=1.0, **fused)]


class Training:
    """Every seed at every learning rate on its way: networks, rules and the order of the batches.

    Members are ordered rates first: member ``i * seeds + j`` is seed ``j`` at ``rates[i]``.
    """

    treatment: Treatment
    rates: np.ndarray
    order: np.random.Generator
    net: torch_net.MLPNet
    params: list[nn.Parameter]
    seeds: int
    each: list[torch.Tensor]

    def __init__(self, treatment: Treatment, rates: np.ndarray, order: np.random.Generator) -> None:
        """Before the first step; a member for each rate and seed."""
        self.treatment, self.rates, self.order = treatment, rates, order
        self.net = module(treatment, len(rates))
        self.params = list(self.net.parameters())
        (self.seeds,) = treatment.params.ensemble
        eta = torch.tensor(np.repeat(rates, self.seeds), dtype=torch.float32)
        self.each = [ensemble.per_member(eta, p) for p in self.params]
        self.rules = _rules(treatment.optimizer, self.net)

    def advance(self, steps: int, batch: int) -> np.ndarray:
        """Take the steps; the loss before each, ``(steps, rates, seeds)``."""
        x, y = torch.as_tensor(ward().x, dtype=torch.float32), torch.as_tensor(ward().y)
        losses = []
        for _ in range(steps):
            rows = torch.as_tensor(self.order.choice(len(y), batch, replace=False))
            loss, grads = _gradients(self.net, x[rows], y[rows], self.treatment)
            losses.append(loss.numpy().reshape(len(self.rates), self.seeds))
            with torch.no_grad():
                self._step(grads)
        return np.reshape(losses, (steps, len(self.rates), self.seeds))

    def _step(self, grads: Sequence[torch.Tensor]) -> None:
        """Move every member by its rate times the step that its rule takes at rate 1."""
        if not self.rules:  # plain descent, in one operation each
            for p, g, eta in zip(self.params, grads, self.each, strict=True):
                p.addcmul_(g, eta, value=-1)
            return
        before = [p.clone() for p in self.params]
        for p, g in zip(self.params, grads, strict=True):
            p.grad = g.contiguous()  # the fused step reads a transposed gradient as it lies (torch 2.13)
        for rule in self.rules:
            rule.step()
        for p, old, eta in zip(self.params, before, self.each, strict=True):
            p.sub_(old).mul_(eta).add_(old)

    def only(self, kept: np.ndarray) -> Training:
        """The same training where it stands, with the rates of the given indices alone."""
        rest = Training(self.treatment, self.rates[kept], self.order)
        of_rates = (len(self.rates), self.seeds)

        def part(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.unflatten(0, (*of_rates, -1))[kept].flatten(0, 2) if tensor.ndim else tensor

        rest.net.load_state_dict({name: part(tensor) for name, tensor in self.net.state_dict().items()})
        for rule, whole in zip(rest.rules, self.rules, strict=True):
            state = {i: {name: part(t) for name, t in of.items()} for i, of in whole.state_dict()["state"].items()}
            rule.load_state_dict(rule.state_dict() | {"state": state})
        return rest

    def result(self, steps: int, loss: np.ndarray) -> Run:
        """Examine every member as it stands."""
        here, shape = ward(), (len(self.rates), self.seeds)
        finite = torch.stack([p.detach().isfinite().flatten(1).all(1) for p in self.params]).all(0)
        return Run(
            self.rates,
            np.full(len(self.rates), steps),
            np.reshape(torch_net.accuracy(self.net, here.x_test, here.y_test), shape),
            np.reshape(torch_net.accuracy(self.net, here.x_validation, here.y_validation), shape),
            loss,
            finite.numpy().reshape(shape),
        )

    def loss(self) -> np.ndarray:
        """Loss on all training digits as the networks stand, ``(rates, seeds)``; batch normalisation takes the
        statistics of these digits, and its running ones are left as they are."""
        x, y = torch.as_tensor(ward().x, dtype=torch.float32), torch.as_tensor(ward().y)
        kept = [buffer.clone() for buffer in self.net.buffers()]
        with torch.no_grad():
            value = torch_net.loss_function(self.net(x), y)
            for buffer, old in zip(self.net.buffers(), kept, strict=True):
                buffer.copy_(old)
        return value.numpy().reshape(len(self.rates), self.seeds)


def train(
    treatment: Treatment, rates: Sequence[float] = LEARNING_RATES, *, steps: int = STEPS, batch: int = BATCH
) -> Run:
    """Train every seed at every learning rate, all at once, on the same batches of the ward's data.

    A member's step is ``rate`` times the step that the optimiser takes at rate 1: the same thing for rules without
    weight decay, since their steps are proportional to the rate. A member that leaves the finite numbers stays there
    and disturbs no other.
    """
    training = Training(treatment, np.asarray(rates), np.random.default_rng(0))
    return training.result(steps, training.advance(steps, batch))


def search(treatment: Treatment, *, steps: int = STEPS) -> Run:
    """Train as :func:`train` does at every rate of :data:`LEARNING_RATES`, but after :data:`AUDITION` steps let only
    the :data:`KEPT` best go on, by median validation accuracy (smaller rates first on a tie).

    One rung of successive halving (Jamieson & Talwalkar 2016, section 3), for little more than half of the work. With
    all nine rates trained to the end, eight sets of seeds change no row's outcome in words; where the search then
    chooses another rate, both are below an accuracy of 0.2.
    """
    training = Training(treatment, np.asarray(LEARNING_RATES), np.random.default_rng(0))
    first = training.result(min(steps, AUDITION), training.advance(min(steps, AUDITION), BATCH))
    if steps <= AUDITION:
        return first
    kept = np.sort(np.argsort(-np.median(first.validation, axis=1), kind="stable")[:KEPT])
    rest = training.only(kept)
    last = rest.result(steps, rest.advance(steps - AUDITION, BATCH))
    loss = np.concatenate([first.loss, np.zeros((steps - AUDITION, *first.loss.shape[1:]), first.loss.dtype)])
    loss[AUDITION:, kept] = last.loss
    whole = replace(first, loss=loss)
    for name in ("steps", "accuracy", "validation", "finite"):
        getattr(whole, name)[kept] = getattr(last, name)
    return whole


def draw(patient: Patient, rng: np.random.Generator, members: int, **changes: object) -> Treatment:
    """The untreated patient, or one whose spec has the given fields changed; its weights keep the patient's
    variance."""
    spec = replace(patient.spec, **changes)
    return Treatment(spec, init.mlp(spec, rng, weight_variance=patient.weight_variance, ensemble=members))


def _at_gain(
    patient: Patient, rng: np.random.Generator, members: int, *, scheme: str | None = None, **changes: object
) -> Treatment:
    """Weights at the gain of the activation, normal or by a scheme of ``init.SCHEMES`` of gain 1."""
    spec = replace(patient.spec, **changes)
    gain = init.gain(spec.activation)
    if scheme is None:
        return Treatment(spec, init.mlp(spec, rng, weight_variance=gain**2, ensemble=members))
    params = init.mlp(spec, rng, scheme, ensemble=members)
    return Treatment(spec, replace(params, weights=tuple(gain * weight for weight in params.weights)))


def _isometric(patient: Patient, rng: np.random.Generator, members: int) -> Treatment:
    return Treatment(patient.spec, init.isometric(patient.spec, rng, ensemble=members))


def _other_activation(patient: Patient, rng: np.random.Generator, members: int) -> Treatment:
    return draw(patient, rng, members, activation="relu" if patient.spec.activation == "sigmoid" else "elu")


def _scaled_residual(patient: Patient, rng: np.random.Generator, members: int) -> Treatment:
    return draw(patient, rng, members, residual=True, branch_scale=patient.spec.depth**-0.5)


def _pretrained(patient: Patient, rng: np.random.Generator, members: int) -> Treatment:
    """Hidden layers learnt one by one from weights of variance 1/fan-in; the output layer is the patient's own."""
    start = init.mlp(patient.spec, rng, weight_variance=1.0, ensemble=members)
    rate = 0.05 if patient.spec.activation == "sigmoid" else 0.003  # 0.01 diverges on ReLU for some digits
    hidden = pretrain.greedy(patient.spec, start, ward().x, rng, lr=rate).params
    output = np.sqrt(patient.weight_variance) * start.weights[-1]
    return Treatment(patient.spec, replace(hidden, weights=(*hidden.weights[:-1], output)))


PRESCRIPTIONS: dict[str, Callable[[Patient, np.random.Generator, int], Treatment]] = {
    "none": draw,
    "initialization": _at_gain,
    "initialization-orthogonal": lambda *p: _at_gain(*p, scheme="orthogonal"),
    "initialization-isometric": _isometric,
    "pretraining": _pretrained,
    "activations": _other_activation,
    "relu": lambda *p: _at_gain(*p, activation="relu"),
    "gelu": lambda *p: _at_gain(*p, activation="gelu"),
    "silu": lambda *p: _at_gain(*p, activation="silu"),
    "batch-normalization": lambda *p: draw(*p, normalization="batch"),
    "layer-normalization": lambda *p: draw(*p, normalization="layer"),
    "residual": lambda *p: draw(*p, residual=True),
    "residual-scaled": _scaled_residual,
    "residual-normalized": lambda *p: draw(*p, normalization="batch", residual=True),
    "highway": lambda *p: replace(draw(*p), gate_bias=-2.0),
    "clipping": lambda *p: replace(draw(*p), clip_norm=1.0),
    "regularization": lambda *p: replace(draw(*p), l2=0.01),
    "adaptive-optimizers": lambda *p: replace(draw(*p), optimizer="adam"),
    "muon": lambda *p: replace(draw(*p), optimizer="muon"),
    "gradient-penalty": lambda *p: replace(draw(*p), gradient_penalty=0.01),
    "scaled-batch": lambda *p: _at_gain(*p, normalization="batch"),
    "residual-layer": lambda *p: draw(*p, normalization="layer", residual=True),
    "orthogonal-clipping": lambda *p: replace(_at_gain(*p, scheme="orthogonal"), clip_norm=1.0),
}
"""Key of a row in :data:`registry.REMEDIES` -> ``(patient, rng, members) -> Treatment``."""


@dataclass(frozen=True)
class Row:
    """What a remedy does to a patient: the profile before training, and the training runs."""

    patient: Patient
    remedy: Remedy
    treatment: Treatment
    profile: GradientProfile
    run: Run

    @property
    def accuracy(self) -> np.ndarray:
        """Test accuracy of each seed at the chosen learning rate, ``(seeds,)``; chance is 0.1."""
        return self.run.accuracy[self.run.best]

    @property
    def rate(self) -> float:
        """The learning rate that the validation digits chose."""
        return float(self.run.rates[self.run.best])


def treat(patient: str, remedy: str, *, seeds: int = SEEDS, rng: np.random.Generator | None = None) -> Treatment:
    """Draw ``seeds`` copies of a patient and prescribe a remedy. ``ValueError`` for a name not in the registry."""
    registry.remedy(remedy)
    return PRESCRIPTIONS[remedy](registry.patient(patient), rng or np.random.default_rng(1), seeds)


def cost(patient: str, remedy: str) -> float:
    """Seconds per training step over those of the untreated patient, as ``benchmarks/remedies.py`` last measured
    them."""
    return _costs()[remedy][patient]


@lru_cache(maxsize=1)
def _costs() -> dict[str, dict[str, float]]:
    return json.loads((files("gradclinic.course") / "cost.json").read_text("utf-8"))


def profile(treatment: Treatment, samples: int = 200) -> GradientProfile:
    """Gradient profile of a treated network on the first ``samples`` training digits, in float64, before any step."""
    here = ward()
    return torch_net.profile(module(treatment, dtype="float64"), here.x[:samples], here.y[:samples])


def features(treatment: Treatment, samples: int = 100) -> np.ndarray:
    """What enters the output layer on the first ``samples`` training digits before any step: ``(seeds, samples,
    width)``."""
    net, seen = module(treatment, dtype="float64"), []
    net.linears[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().numpy()))
    net(torch.as_tensor(ward().x[:samples]))
    return seen[0]


def word(accuracy: np.ndarray | float) -> str:
    """:func:`registry.word` of the median over seeds."""
    return registry.word(float(np.median(accuracy)))


def examine(
    patient: str,
    remedy: str,
    *,
    seeds: int = SEEDS,
    steps: int = STEPS,
    rng: np.random.Generator | None = None,
) -> Row:
    """One row of the matrix: draw, profile, search the learning rate (:func:`search`), test."""
    treatment = treat(patient, remedy, seeds=seeds, rng=rng)
    return Row(PATIENTS[patient], REMEDIES[remedy], treatment, profile(treatment), search(treatment, steps=steps))
