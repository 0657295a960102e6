"""``{instrument-results}``: how often the instrument was right, as ``benchmarks/zoo.py`` last counted it."""

from collections import Counter

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from workshop.sphinx.measured_table import measured, table

FAULTS = {
    "all weights x 3": "all weights three times as large",
    "all weights x 10": "all weights ten times as large",
    "all weights / 10": "all weights a tenth",
    "one layer x 1e-4": "one layer ten thousand times smaller",
    "one layer x 1e4": "one layer ten thousand times larger",
    "detach in the middle": "gradient cut off in the middle (detach)",
    "round in the middle": "outputs of a layer rounded",
    "sign in the middle": "only the sign of a layer's outputs handed on",
    "nan in a weight": "one weight NaN",
    "inf in a weight": "one weight infinite",
    "log in the middle": "logarithm of a layer's outputs",
    "root of zero in the middle": "root of 0",
    "nan in the inputs": "some inputs NaN",
    "inputs x 255": "inputs 255 times as large",
    "inputs + 20": "inputs shifted by 20",
    "softmax twice": "softmax taken twice",
    "queries and keys of size 6": "queries and keys six times too large",
    "dead units": "a layer of ReLUs switched off",
    "two matrices at zero": "two matrices in a row at zero",
    "a layer that is not registered": "a layer that no optimiser is given",
    "step of Adam 1": "Adam with a step of 1",
}
"""What was planted, in words, where the name that the benchmark gives it does not say enough."""

NETWORKS = {
    "gpt-2, softmax written out": "GPT-2",
    "lstm classifier, mean of both directions": "LSTM classifier",
    "mlp, batch norm, 11 layers": "11 layers with batch norm",
    "mlp, he, 11 layers": "11 layers, He's weights",
    "nn.TransformerEncoder": "transformer encoder",
    "resnet, large stem": "ResNet",
    "vgg with batch norm": "VGG with batch norm",
    "vit": "vision transformer",
}


def healthy(zoo):
    """Rows of counts for the healthy networks; readings of networks whose loss did not fall say nothing."""
    readings = [reading for reading in zoo.values() if reading["learning"]]
    started = sum(name.endswith(", start") for name in zoo)
    wrong = sorted({name for name, r in zoo.items() if r["learning"] and (r["verdict"] != "healthy" or r["causes"])})
    return [
        ("networks read as they are drawn", str(started)),
        ("of them read again after 50 steps of training", str(len(readings) - started)),
        ("verdicts other than healthy", str(sum(reading["verdict"] != "healthy" for reading in readings))),
        ("causes named, each of them wrong", str(sum(reading["causes"] for reading in readings))),
        *([("where", "; ".join(wrong))] if wrong else []),
    ]


def planted(faults):
    """Rows of counts for the planted faults."""
    how = Counter(faults.values())
    return [
        ("planted faults", str(len(faults))),
        ("kinds of fault", str(len({name.rpartition(" in ")[0] for name in faults}))),
        ("found", f"{len(faults) - how['missed']} ({(len(faults) - how['missed']) / len(faults):.0%})"),
        (
            "with the right cause or layer among the first two causes",
            f"{how['located']} ({how['located'] / len(faults):.0%})",
        ),
    ]


def by_fault(faults):
    """For each kind of fault: in how many networks it was planted and found, and in which it was missed."""
    kinds = {}
    for name, how in faults.items():
        fault, _, network = name.rpartition(" in ")
        kinds.setdefault(fault, []).append((NETWORKS.get(network, network), how))
    rows = []
    for fault, tried in kinds.items():
        missed = sorted(network for network, how in tried if how == "missed")
        rows.append((len(missed), FAULTS.get(fault, fault), f"{len(tried) - len(missed)} of {len(tried)}", missed))
    rows.sort(key=lambda row: (-row[0], row[1]))
    return [(fault, found, ", ".join(missed) or "none") for _, fault, found, missed in rows]


class InstrumentResults(SphinxDirective):
    def run(self):
        found = measured(self, "instrument")
        made = []
        parts = (("zoo", "networks that nothing ails", healthy), ("faults", "networks that are ill", planted))
        for part, title, count in parts:
            if found.get(part):
                made.append(table("instrument", (60, 40), (title, "counted"), count(found[part])))
        if found.get("faults"):
            made.append(
                table("instrument", (45, 15, 40), ("fault planted", "found", "missed in"), by_fault(found["faults"]))
            )
        return made or [nodes.paragraph("", "Nothing has been counted yet.")]


def setup(app):
    app.add_directive("instrument-results", InstrumentResults)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
