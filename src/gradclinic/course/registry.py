"""The two patients and the rows of the matrix, in plain data: what the package, the site and the tests all read.

Nothing here needs a framework. What a row does to a patient's weights and steps is written in
:mod:`gradclinic.course.remedies`, under the same keys.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradclinic.spec import MLP


@dataclass(frozen=True)
class Patient:
    """A sick network: ``spec``, and ``weight_variance``, fan-in times the variance of its normal weights (biases 0)."""

    key: str
    title: str
    spec: MLP
    weight_variance: float


PATIENTS = {
    patient.key: patient
    for patient in (
        Patient("A", "10-layer sigmoid, vanishes", MLP((64, *[32] * 9, 10), "sigmoid"), 1.0),
        Patient("B", "20-layer ReLU, weights twice He's, explodes", MLP((64, *[32] * 19, 10), "relu"), 8.0),
    )
}

GROUPS = {
    "untreated": "nothing is changed",
    "start": "the weights from which training starts",
    "map": "what a layer computes",
    "path": "a way around the layer",
    "step": "what is done with the gradient",
    "combination": "two of them at once",
}


@dataclass(frozen=True)
class Remedy:
    """One row of the matrix.

    ``title`` names it in tables; ``page`` is the chapter that derives it; ``group``, a key of :data:`GROUPS`, says
    which part of training it changes; ``changes`` says in a few words what is done to the patient.
    """

    key: str
    title: str
    page: str
    group: str
    changes: str


REMEDIES = {
    remedy.key: remedy
    for remedy in (
        Remedy("none", "untreated", "remedies/matrix", "untreated", "nothing"),
        Remedy(
            "initialization",
            "scaled initialisation",
            "remedies/initialization",
            "start",
            "weight variance gain²/fan-in: sigmoid 22, ReLU 2",
        ),
        Remedy(
            "initialization-orthogonal",
            "orthogonal initialisation",
            "remedies/initialization",
            "start",
            "orthogonal times the gain: sigmoid 4.7, ReLU √2; biases 0",
        ),
        Remedy(
            "initialization-isometric",
            "isometric initialisation",
            "remedies/initialization",
            "start",
            "orthogonal; sigmoid centred by its biases, ReLU in mirrored pairs",
        ),
        Remedy(
            "pretraining",
            "greedy pre-training",
            "remedies/pretraining",
            "start",
            "each hidden layer first trained as an autoencoder",
        ),
        Remedy(
            "activations",
            "another activation",
            "remedies/activations",
            "map",
            "A: ReLU for sigmoid; B: ELU for ReLU; same weights",
        ),
        Remedy("relu", "ReLU at He's scale", "remedies/activations", "map", "ReLU, weight variance 2/fan-in"),
        Remedy("gelu", "GELU at its gain", "remedies/activations", "map", "GELU, weight variance 2.19/fan-in"),
        Remedy("silu", "SiLU at its gain", "remedies/activations", "map", "SiLU, weight variance 2.64/fan-in"),
        Remedy(
            "batch-normalization",
            "batch normalisation",
            "remedies/batch-normalization",
            "map",
            "before every activation",
        ),
        Remedy(
            "layer-normalization",
            "layer normalisation",
            "remedies/layer-normalization",
            "map",
            "before every activation",
        ),
        Remedy("residual", "residual", "remedies/residual", "path", "identity skip around every hidden layer"),
        Remedy(
            "residual-scaled",
            "residual, branch scaled",
            "remedies/residual",
            "path",
            "identity skip, branch times 1/sqrt(depth)",
        ),
        Remedy(
            "residual-normalized",
            "residual, branch normalised",
            "remedies/residual",
            "path",
            "identity skip, batch normalisation in the branch",
        ),
        Remedy(
            "highway",
            "LSTM's gate across depth",
            "remedies/lstm",
            "path",
            "highway layers, carry sigmoid(2) at the start",
        ),
        Remedy("clipping", "clipping by global norm", "remedies/clipping", "step", "largest norm 1"),
        Remedy("regularization", "L2 penalty", "remedies/regularization", "step", "strength 0.01 on every weight"),
        Remedy(
            "adaptive-optimizers",
            "Adam",
            "remedies/adaptive-optimizers",
            "step",
            "PyTorch's defaults but for the rate",
        ),
        Remedy(
            "muon",
            "Muon",
            "today/orthogonal-steps",
            "step",
            "orthogonalised momentum on hidden weights, Adam on the rest",
        ),
        Remedy(
            "gradient-penalty",
            "gradient penalty",
            "remedies/gradient-penalty",
            "step",
            "0.01 times the squared norm of the input gradient",
        ),
        Remedy(
            "scaled-batch",
            "scaled start + batch norm",
            "remedies/batch-normalization",
            "combination",
            "scaled initialisation and batch normalisation",
        ),
        Remedy(
            "residual-layer",
            "residual + layer norm",
            "remedies/layer-normalization",
            "combination",
            "identity skip, layer normalisation in the branch",
        ),
        Remedy(
            "orthogonal-clipping",
            "orthogonal start + clipping",
            "remedies/clipping",
            "combination",
            "orthogonal initialisation, largest norm 1",
        ),
    )
}


def patient(key: str) -> Patient:
    """Look a patient up; ``ValueError`` for a name that is not in :data:`PATIENTS`."""
    if key not in PATIENTS:
        raise ValueError(f"patient: got {key!r}, wanted one of {', '.join(PATIENTS)}")
    return PATIENTS[key]


def remedy(key: str) -> Remedy:
    """Look a row of the matrix up; ``ValueError`` for a name that is not in :data:`REMEDIES`."""
    if key not in REMEDIES:
        raise ValueError(f"remedy: got {key!r}, wanted one of {', '.join(REMEDIES)}")
    return REMEDIES[key]


def word(accuracy: float) -> str:
    """The book's three words for an outcome, by the median accuracy over seeds: ``"reads digits"`` above 0.85,
    ``"partly"`` above 0.25, else ``"near chance"``."""
    return "reads digits" if accuracy > 0.85 else "partly" if accuracy > 0.25 else "near chance"
