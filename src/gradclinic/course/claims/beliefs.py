"""Popular beliefs that none of the five sources states in this form."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from gradclinic import activations, init, measure, numpy_net, theory
from gradclinic.course import data
from gradclinic.course.claims.claim import Case, Claim, entry
from gradclinic.course.claims.experiments import (
    accuracy,
    examined,
    hidden_factor,
    on_the_cliff,
    profile,
    train,
    treated,
)
from gradclinic.numpy_net import RNNParameters
from gradclinic.spec import MLP, RNN, Parameters

CLAIMS: list[Claim] = []
settles = partial(entry, CLAIMS)


@settles(
    "belief-he-keeps-variance",
    statement="He initialisation keeps the variance, of the typical network too",
    verdict="false",
    why="it keeps the mean over networks; the median falls as exp(-5 L / 2n), to 0.077 at 40 layers of 40 units",
    page="why/jacobians",
    also=("remedies/initialization", "beyond/ten-thousand-layers"),
    universal=True,
    mark="of the typical network too",
)
def _he_keeps_variance() -> Iterator[Case]:
    for depth, n in ((2, 100), (20, 40), (40, 40)):
        rng = np.random.default_rng(8)
        a, v, log = np.ones((200, n, 1)), rng.standard_normal((200, n, 1)), np.zeros(200)
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        for _ in range(depth):
            w = init.he_normal((200, n, n), rng)
            z, u = w @ a, w @ v
            a, v = np.maximum(z, 0), (z > 0) * u
            length = np.linalg.norm(v, axis=1, keepdims=True)
            log, v, a = log + np.log(length[:, 0, 0]), v / length, a / np.linalg.norm(a, axis=1, keepdims=True)
        median = float(np.exp(2 * np.median(log)))
        yield Case(
            f"{depth} layers of {n} units",
            abs(median - 1) < 0.1,
            f"median squared norm of the gradient {median:.3f}",
        )


@settles(
    "belief-slopes-at-most-one",
    statement="ReLU-like slopes are at most 1",
    verdict="false",
    why="GELU reaches 1.129, SiLU 1.100, SELU 1.758",
    page="why/jacobians",
    also=("remedies/activations",),
    universal=True,
    mark="ReLU-like slopes are at most 1",
)
def _slopes_at_most_one() -> Iterator[Case]:
    z = np.linspace(-6, 6, 24_001)
    for name in ("relu", "leaky_relu", "elu", "selu", "gelu", "silu"):
        largest = float(activations.get(name).slope(z).max())
        yield Case(name, largest <= 1 + 1e-12, f"largest slope {largest:.3f}")


@settles(
    "belief-explodes-above-rho-one",
    statement="a recurrent network explodes exactly when rho > 1",
    verdict="false",
    why="false both ways: saturation shrinks it above 1, and a non-normal matrix grows it below 1",
    page="why/recurrence",
    universal=True,
    mark=r"a recurrent net explodes exactly when",
)
def _explodes_above_rho_one() -> Iterator[Case]:
    n, steps, rng = 64, 100, np.random.default_rng(1)
    for rho, act in ((1.1, "linear"), (1.1, "tanh")):
        w = init.orthogonal((5, n, n), rng, rho)
        u, v = init.lecun_normal((5, n, n), rng), np.tile(np.eye(n), (5, 1, 1))
        x, y = np.sqrt(0.1) * rng.standard_normal((10, steps, n)), 100 * rng.standard_normal((10, n))
        g = numpy_net.rnn_gradients(RNN(n, n, n, act), RNNParameters(w, u, np.zeros((5, n)), v, np.zeros((5, n))), x, y)
        size = measure.sample_norm(g.hidden)
        growth = float(np.median(size[:, 0] / size[:, -1]))
        yield Case(f"{act} units, rho = {rho}, noisy input", growth > 1, f"gradient over 100 steps times {growth:.2g}")
    jordan = np.array([[0.9, 10.0], [0.0, 0.9]])
    peak = max(np.linalg.norm(np.linalg.matrix_power(jordan, k), 2) for k in range(60))
    yield Case("two linear units, both eigenvalues 0.9", peak <= 1, f"norm of the product grows to {peak:.0f} first")
    w, b = np.array([[1.5, -2.0], [1.125, -1.5]]), np.array([2.0, 40.0])
    h, jacobian = np.array([0.0, 1.0]), np.eye(2)
    for _ in range(60):
        h = np.tanh(w @ h + b)
        jacobian = np.diag(1 - h**2) @ w @ jacobian
    rho = float(np.sqrt(abs(np.linalg.det(w))))
    yield Case(
        f"two tanh units, one saturated, rho = {rho:.0f}",
        abs(jacobian[0, 0]) <= 1,
        f"gradient over 60 steps {jacobian[0, 0]:.1e}",
    )


@settles(
    "belief-flat-profile-trains",
    statement="a flat gradient profile means that the network will train",
    verdict="false",
    why="it says that a signal arrives, not that it carries enough: copies of one unit, inputs that have merged",
    page="reproduce/measuring",
    also=("remedies/initialization", "remedies/layer-normalization"),
    universal=True,
    mark="flat profile",
)
def _flat_profile_trains() -> Iterator[Case]:
    spec = MLP((64, 32, 32, 32, 10), "elu")
    he = init.mlp(spec, np.random.default_rng(4), ensemble=3)
    first, last = he.weights[0][:, :1], he.weights[-1][:, :, :1]
    copies = Parameters(
        (np.repeat(first, 32, 1), *(np.full((3, 32, 32), 1 / 32),) * 2, np.repeat(last, 32, 2)), he.biases
    )
    for name, params in (("He", he), ("every unit of a layer the same", copies)):
        found = profile(spec, params)
        reached = float(np.median(accuracy(spec, train(spec, params, 60, lr=0.1))))
        flat = set(found.verdicts.tolist()) == {"healthy"}
        said = f"{found.verdict}, {np.median(found.factor):.2f} per layer; accuracy {reached:.2f}"
        yield Case(f"ELU, four layers, {name}", flat <= (reached > 0.6), said)
    from gradclinic.course import remedies

    spec = MLP((64, *[32] * 9, 10), "sigmoid")
    params = init.mlp(
        spec, np.random.default_rng(1), weight_variance=theory.critical_weight_variance("sigmoid"), ensemble=5
    )
    treatment = remedies.Treatment(spec, params)
    found, run = remedies.profile(treatment), remedies.train(treatment, (0.01, 0.1))
    reached = float(np.median(run.accuracy, axis=1).max())
    said = f"{found.verdict}, {np.median(found.factor):.2f} per layer; accuracy {reached:.2f}"
    yield Case(
        "ten sigmoid layers at the critical variance 103", (found.verdict == "healthy") <= (reached > 0.65), said
    )


@settles(
    "belief-weight-gradient-shows",
    statement="the norm of the weight gradient per layer shows an explosion",
    verdict="false",
    why="in bias-free ReLU networks the inner product of weight and gradient is the same in every layer",
    page="reproduce/measuring",
    mark="the weight-gradient norm per layer shows an explosion",
)
def _weight_gradient_shows() -> Iterator[Case]:
    for act in ("relu", "leaky_relu"):
        spec = MLP((64,) * 20 + (10,), act, bias=False)
        nets = init.mlp(spec, np.random.default_rng(0), weight_variance=8.0, ensemble=10)
        found = profile(spec, nets)
        delta, weight = (float(np.median(v[:, 0] / v[:, -1])) for v in (found.delta, found.weight))
        said = f"layer 1 over layer 20: delta {delta:.0e}, weight gradient {weight:.2f}"
        yield Case(f"20 bias-free {act} layers, twice He, {found.verdict}", weight > 10, said)


@settles(
    "belief-vanishing-never-trains",
    statement="a vanishing profile means that the network cannot train",
    verdict="false",
    why="with equal update ratios, a step of its own for each layer, it does",
    page="reproduce/measuring",
    universal=True,
    mark="a vanishing profile means that the network cannot train",
)
def _vanishing_never_trains() -> Iterator[Case]:
    spec = MLP((64, 30, 30, 30, 30, 10), "sigmoid")
    start = init.mlp(spec, np.random.default_rng(3), weight_variance=1.0, ensemble=3)
    found = profile(spec, start)
    for name, rule in (
        ("one step size, 1", {"lr": 1.0}),
        ("a step for each layer, 0.03 of its weights", {"ratio": 0.03}),
    ):
        reached = float(np.median(accuracy(spec, train(spec, start, 120, **rule))))
        yield Case(
            f"five sigmoid layers, {found.verdict}, {name}", reached < 0.5, f"accuracy {reached:.2f} after 120 steps"
        )


@settles(
    "belief-linear-default-is-he",
    statement="the default of nn.Linear is He initialisation",
    verdict="false",
    why="its variance is 1/(3 n), a sixth of He's; Keras's Dense is Glorot uniform",
    page="remedies/initialization",
    mark="`nn.Linear`'s default is He",
)
def _linear_default_is_he() -> Iterator[Case]:
    import torch

    for n in (100, 400):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            variance = n * torch.nn.Linear(n, 1000).weight.var().item()
        yield Case(
            f"torch.nn.Linear({n}, 1000)",
            abs(variance / 2 - 1) < 0.1,
            f"n times the variance {variance:.3f}, He's is 2",
        )


@settles(
    "belief-right-scale-cures-sigmoid",
    statement="the right scale of the weights cures a vanishing sigmoid network",
    verdict="conditional",
    why="the profile turns healthy, the accuracy stays below 0.7; with the mean cancelled as well it trains",
    page="remedies/initialization",
    mark="the right scale cures a vanishing sigmoid network",
)
def _right_scale_cures_sigmoid() -> Iterator[Case]:
    row, centred = examined("A", "initialization"), examined("A", "initialization-isometric")
    before = treated("A", "none")[1]
    said = [f"{p.verdict}, {np.median(p.factor):.2f} per layer" for p in (before, row.profile)]
    yield Case("patient A: the profile", row.profile.verdict == "healthy", f"{said[0]} before; {said[1]} after")
    reached = [float(np.median(r.accuracy)) for r in (row, centred)]
    yield Case(
        "patient A: reading digits",
        reached[0] > 0.8,
        f"accuracy {reached[0]:.2f}; isometric and centred {reached[1]:.2f}",
    )


@settles(
    "belief-layer-norm-is-batch-norm",
    statement="layer norm does what batch norm does",
    verdict="false",
    why="sigmoid 0.39 against 1.02 per layer, ReLU 1 against 1.21; equal only where the activation has mean 0",
    page="remedies/layer-normalization",
    universal=True,
    mark="layer norm does what batch norm does",
)
def _layer_norm_is_batch_norm() -> Iterator[Case]:
    for act in ("tanh", "relu", "sigmoid"):
        factor = {norm: hidden_factor(act, 2.0, depth=20, width=150, normalization=norm) for norm in ("batch", "layer")}
        said = f"per layer: batch norm {factor['batch']:.2f}, layer norm {factor['layer']:.2f}"
        yield Case(f"20 {act} layers", abs(factor["batch"] / factor["layer"] - 1) < 0.05, said)


@settles(
    "belief-lstm-solves-it",
    statement="the LSTM solves it",
    verdict="false",
    why="as PyTorch starts it, the gradient over 100 steps is of order 1e-20; the forget bias decides",
    page="remedies/lstm",
    universal=True,
    mark="the LSTM solves it",
)
def _lstm_solves_it() -> Iterator[Case]:
    from gradclinic import gated

    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((5, 101, 8)), rng.standard_normal((5, 32))
    for name, options in (
        ("PyTorch's default", {"scheme": "torch"}),
        ("Keras's default", {"scheme": "keras"}),
        ("Keras's weights, forget bias 5", {"scheme": "keras", "carry_bias": 5.0}),
    ):
        p = gated.draw("lstm", np.random.default_rng(1), (10,), (8, 32, 1), **options)
        m = gated.memory_gradients("lstm", p, x, v)
        size = float(np.log10(np.median(m[:, 0] / m[:, -1])))
        yield Case(name, size > -2, f"gradient over 100 steps 10^{size:.1f}")


@settles(
    "belief-gates-cannot-explode",
    statement="gated networks cannot explode",
    verdict="false",
    why="recurrent weights sixteen times as large give a millionfold over 100 steps; true of the cut gradient of 1997",
    page="remedies/lstm",
    universal=True,
    mark="gated networks cannot explode",
)
def _gates_cannot_explode() -> Iterator[Case]:
    from gradclinic import gated

    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((5, 101, 8)), rng.standard_normal((5, 32))
    for kind in ("lstm", "gru"):
        for gain in (1.0, 16.0):
            p = gated.draw(kind, np.random.default_rng(3), (10,), (8, 32, 1), carry_bias=1.0)
            p.recurrent[:] *= gain
            m = gated.memory_gradients(kind, p, x, v)
            size = float(np.log10(np.median(m[:, 0] / m[:, -1])))
            yield Case(
                f"{kind.upper()}, recurrent weights times {gain:.0f}",
                size < 2,
                f"gradient over 100 steps 10^{size:.1f}",
            )


@settles(
    "belief-pretraining-is-scale",
    statement="pre-training is no more than a good scale of the weights",
    verdict="conditional",
    why="two thirds of the profile's improvement is scale, none of the accuracy: shuffled weights stay at chance",
    page="remedies/pretraining",
    mark="pre-training is a good scale of the weights",
)
def _pretraining_is_scale() -> Iterator[Case]:
    from gradclinic import pretrain
    from gradclinic.course import remedies

    row, (_, bare) = examined("A", "pretraining"), treated("A", "none")
    mixed = remedies.Treatment(row.treatment.spec, pretrain.shuffled(row.treatment.params, np.random.default_rng(3)))
    factor = [float(np.median(p.factor)) for p in (bare, remedies.profile(mixed), row.profile)]
    share = np.log(factor[1] / factor[0]) / np.log(factor[2] / factor[0])
    said = (
        f"per layer {factor[0]:.2f} before, {factor[1]:.2f} shuffled, {factor[2]:.2f} pre-trained: {share:.0%} is scale"
    )
    yield Case("patient A: more than half of the profile's improvement", share > 0.5, said)
    reached = float(np.median(remedies.train(mixed, (0.1, 1.0)).accuracy, axis=1).max())
    said = f"accuracy {np.median(row.accuracy):.2f} pre-trained, {reached:.2f} with the same weights shuffled"
    yield Case("patient A: more than half of the accuracy", reached > np.median(row.accuracy) / 2, said)


@settles(
    "belief-exploding-layers-drown",
    statement="in an exploding gradient the exploding layers drown the others",
    verdict="false",
    why="in patient B no layer has more than a third of the squared norm of the weight gradient",
    page="remedies/clipping",
    mark="the exploding layers drown the others",
)
def _exploding_layers_drown() -> Iterator[Case]:
    from gradclinic.course import remedies

    here = remedies.ward()
    for seed in (1, 2):
        t = remedies.treat("B", "none", rng=np.random.default_rng(seed))
        g = numpy_net.gradients(t.spec, t.params, here.x[:200], here.y[:200])
        squares = np.stack(
            [np.sum(w**2, axis=(1, 2)) + np.sum(b**2, axis=1) for w, b in zip(g.weights, g.biases, strict=True)],
            axis=-1,
        )
        share = np.median((squares / squares.sum(axis=-1, keepdims=True)).max(axis=-1))
        yield Case(
            f"patient B, five networks of seed {seed}", share > 0.5, f"largest share of one layer, median {share:.2f}"
        )


@settles(
    "belief-cliff-without-clipping-lost",
    statement="on a cliff, descent without clipping is lost",
    verdict="false",
    why="most of those that are thrown come back, to another minimum",
    page="remedies/clipping",
    mark="on a cliff, descent without clipping is lost",
)
def _cliff_without_clipping_lost() -> Iterator[Case]:
    thrown, loss = on_the_cliff(np.inf)
    lost = np.mean(loss[thrown] > 0.01)
    yield Case(
        "500 descents beside the wall: those thrown",
        lost > 0.5,
        f"{thrown.sum()} thrown, {lost:.0%} of them do not arrive",
    )
    lost = np.mean(loss > 0.01)
    yield Case("all of them", lost > 0.5, f"{lost:.0%} do not arrive")


@settles(
    "belief-adam-fixes-vanishing",
    statement="Adam fixes vanishing gradients",
    verdict="conditional",
    why="the front layers move again, while gradients exceed its epsilon; the digits have already merged on the way up",
    page="remedies/adaptive-optimizers",
    mark="Adam fixes vanishing gradients",
)
def _adam_fixes_vanishing() -> Iterator[Case]:
    import torch

    for g in (1e-5, 1e-12):
        w = torch.zeros(1, dtype=torch.float64)
        rule = torch.optim.Adam([w], lr=1.0)
        for _ in range(10):
            w.grad = torch.full((1,), g, dtype=torch.float64)
            rule.step()
        moved = -w.item()
        yield Case(f"one weight, gradient {g:.0e}: ten steps of one rate", moved > 5, f"moved by {moved:.2g} rates")
    row, bare = examined("A", "adaptive-optimizers"), examined("A", "none")
    reached = [float(np.median(r.accuracy)) for r in (bare, row)]
    yield Case(
        "patient A: reading digits", reached[1] > 0.5, f"accuracy {reached[0]:.2f} without, {reached[1]:.2f} with Adam"
    )


@settles(
    "belief-one-name-one-rule",
    statement="an optimizer of one name is one rule",
    verdict="false",
    why="RMSProp's first step is 10 rates in PyTorch and 3.16 in Keras",
    page="remedies/adaptive-optimizers",
    universal=True,
    mark="of one name is one rule",
)
def _one_name_one_rule() -> Iterator[Case]:
    import torch

    from gradclinic.tf_net import keras, tf

    for name in ("SGD", "RMSprop", "Adagrad"):
        w = torch.zeros(1, dtype=torch.float64)
        w.grad = torch.ones_like(w)
        getattr(torch.optim, name)([w], lr=0.1).step()
        v = tf.Variable([0.0], dtype=tf.float64)
        getattr(keras.optimizers, name)(learning_rate=0.1).apply_gradients([(tf.constant([1.0], tf.float64), v)])
        steps = -w.item() / 0.1, -float(v.numpy()[0]) / 0.1
        said = f"first step at gradient 1: PyTorch {steps[0]:.2f}, Keras {steps[1]:.2f} rates"
        yield Case(name, np.isclose(*steps, rtol=1e-4), said)


@cache
def _layer_gradients(layers: int) -> tuple[np.ndarray, float]:
    """Weight gradient of the first layer of a sigmoid network on a hundred digits, flattened, and the largest entry of
    any layer's gradient or delta, the numbers that a float16 backward pass has to hold."""
    spec = MLP((64, *[64] * (layers - 1), 10), "sigmoid")
    params = init.mlp(spec, np.random.default_rng(0), weight_variance=1.0)
    here = data.digits(n_train=100, n_test=1, rng=np.random.default_rng(0))
    g = numpy_net.gradients(spec, params, here.x_train, here.y_train)
    return g.weights[0].ravel(), float(max(np.abs(a).max() for a in (*g.weights, *g.biases, *g.delta)))


def _flushed(values: np.ndarray) -> float:
    """Share of the numbers that are not 0 and become 0 in float16."""
    some = values[values != 0]
    with np.errstate(over="ignore", under="ignore"):
        return float(np.mean(some.astype(np.float16) == 0))


@settles(
    "belief-loss-scaling-cures",
    statement="loss scaling cures vanishing gradients",
    verdict="false",
    why="it moves all layers alike: where they span more decades than float16 has, no scale holds them all",
    page="beyond/mixed-precision",
    universal=True,
    mark="loss scaling cures vanishing gradients",
)
def _loss_scaling_cures() -> Iterator[Case]:
    for layers in (10, 30):
        first, largest = _layer_gradients(layers)
        scales = [2.0**k for k in range(0, 80) if 2.0**k * largest < float(np.finfo(np.float16).max)]
        lost = min(_flushed(scale * first) for scale in scales)
        said = f"layer 1 loses {_flushed(first):.0%} of its gradient unscaled, {lost:.0%} at the best scale"
        yield Case(f"{layers} sigmoid layers, float16", lost < 0.02, said)


@settles(
    "belief-dynamic-scaling",
    statement="dynamic loss scaling finds the right scale",
    verdict="conditional",
    why="it finds the largest scale that does not overflow, and cannot see what is lost below",
    page="beyond/mixed-precision",
    mark="dynamic scaling finds the right scale",
)
def _dynamic_scaling() -> Iterator[Case]:
    for layers in (10, 30):
        first, largest = _layer_gradients(layers)
        scale = 1.0
        for _ in range(60):  # double where everything is finite, halve where something is not
            with np.errstate(over="ignore"):
                finite = np.isfinite(np.float16(scale * largest))
            scale = scale * 2 if finite else scale / 2
        scale = scale if scale * largest < float(np.finfo(np.float16).max) else scale / 2
        lost = _flushed(scale * first)
        said = f"scale 2^{np.log2(scale):.0f}; layer 1 loses {_flushed(first):.0%} unscaled, {lost:.0%} scaled"
        yield Case(f"{layers} sigmoid layers, float16", lost < 0.02, said)


@settles(
    "belief-bfloat16-no-scale",
    statement="bfloat16 needs no loss scale",
    verdict="true",
    why="its range is that of float32, enough for some sixty sigmoid layers; its few digits are another matter",
    page="beyond/mixed-precision",
    mark="bfloat16 needs no loss scale",
)
def _bfloat16_no_scale() -> Iterator[Case]:
    import torch

    for layers in (10, 30):
        first, _ = _layer_gradients(layers)
        kept = torch.tensor(first[first != 0]).to(torch.bfloat16).double()
        lost = float(np.mean(kept.numpy() == 0))
        said = f"layer 1 loses {lost:.0%} of its gradient, {_flushed(first):.0%} in float16"
        yield Case(f"{layers} sigmoid layers", lost < 0.02, said)


@settles(
    "belief-orthogonal-any-depth",
    statement="orthogonal initialisation makes any depth safe",
    verdict="conditional",
    why="for linear layers, and for tanh at small signals; with ReLU most of the loss remains",
    page="beyond/ten-thousand-layers",
    mark="orthogonal initialisation makes any depth safe",
)
def _orthogonal_any_depth() -> Iterator[Case]:
    depth, n = 1000, 32
    for name, gain, scale in (("linear", 1.0, 1.0), ("tanh", 1.0, 1e-3), ("relu", np.sqrt(2.0), 1.0)):
        phi, rng = activations.get(name), np.random.default_rng(0)
        a, v, log = scale * rng.standard_normal((5, n, 1)), rng.standard_normal((5, n, 1)), np.zeros(5)
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        for _ in range(depth):
            w = init.orthogonal((5, n, n), rng, gain)
            z, v = w @ a, w @ v
            a, v = phi(z), phi.slope(z) * v
            length = np.linalg.norm(v, axis=1, keepdims=True)
            log, v = log + np.log10(length[:, 0, 0]), v / length
            if name == "relu":  # its slopes do not depend on the size of the signal
                a /= np.linalg.norm(a, axis=1, keepdims=True)
        decades = float(np.median(log))
        yield Case(f"{depth} {name} layers of {n} units", abs(decades) < 2, f"gradient 10^{decades:.1f} times as large")


@settles(
    "belief-default-init-safe",
    statement="a framework's default initialisation is a safe start",
    verdict="conditional",
    why="with normalisation it is; ten plain layers of PyTorch's defaults lose powers of ten",
    page="practice/your-own-model",
    mark="a framework's default initialisation is a safe start",
)
def _default_init_safe() -> Iterator[Case]:
    import torch

    from gradclinic import torch_net

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 3, 8, 8)).astype(np.float32), rng.integers(0, 10, 30)
    for name, normalised in (("plain", False), ("with batch norm", True)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            parts: list[torch.nn.Module] = []
            for n_in in (3, *[16] * 9):
                parts += [torch.nn.Conv2d(n_in, 16, 3, padding=1), *[torch.nn.BatchNorm2d(16)] * normalised]
                parts.append(torch.nn.ReLU())
            net = torch.nn.Sequential(*parts, torch.nn.Flatten(), torch.nn.Linear(16 * 64, 10))
        found = torch_net.profile(net, x, y)
        said = f"{found.verdict}, first over last {found.delta[0] / found.delta[-1]:.1e}"
        yield Case(f"ten ReLU convolutions of PyTorch, {name}", found.verdict == "healthy", said)


@settles(
    "belief-healthy-layers-arrive",
    statement="a healthy profile over the layers means that the gradient arrives",
    verdict="false",
    why="in recurrent layers it can be level from layer to layer and lost in time",
    page="practice/your-own-model",
    universal=True,
    mark="a healthy profile over the layers means that the gradient arrives",
)
def _healthy_layers_arrive() -> Iterator[Case]:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for name, cell in (("LSTM", torch.nn.LSTM), ("GRU", torch.nn.GRU)):
            layers = [cell(n, 32, batch_first=True, dtype=torch.float64) for n in (8, 32)]
            x = torch.randn(20, 50, 8, dtype=torch.float64, requires_grad=True)
            streams = [x]
            for layer in layers:
                streams.append(layer(streams[-1])[0])
            loss = streams[-1][:, -1].square().sum(-1).mean()
            by_stream = [g.norm(dim=-1).square().mean(0).sqrt() for g in torch.autograd.grad(loss, streams)]
            across = torch.log10(by_stream[1].norm() / by_stream[2].norm()).item()
            in_time = torch.log10(by_stream[0][0] / by_stream[0][-1]).item()
            said = (
                f"log10 from layer 2 to layer 1: {across:.1f}; from the last step's input to the first's: {in_time:.1f}"
            )
            yield Case(f"two layers of {name}, 50 steps", abs(across) > 2 or in_time > -2, said)


@settles(
    "belief-lower-the-step",
    statement="if the loss explodes, lower the step",
    verdict="conditional",
    why="cures a step too large for a healthy network, not weights that are too large",
    page="practice/clinic",
    mark="if the loss explodes, lower the step",
)
def _lower_the_step() -> Iterator[Case]:
    for name, variance in (("He", 2.0), ("twice He, nineteen hidden layers", 8.0)):
        spec = MLP((64, *[32] * (2 if variance == 2 else 19), 10), "relu")
        start = init.mlp(spec, np.random.default_rng(0), weight_variance=variance, ensemble=3)
        reached = {lr: accuracy(spec, train(spec, start, 50, lr=lr)) for lr in (10.0, 0.3, 1e-5)}
        best = max(float(np.median(a)) for lr, a in reached.items() if lr < 10)
        said = f"accuracy {np.median(reached[10.0]):.2f} at step 10, at best {best:.2f} at steps 0.3 and 1e-5"
        yield Case(f"ReLU network, {name}", best > 0.6, said)
