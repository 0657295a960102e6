"""``{instrument-results}``: how often the instrument was right, as ``benchmarks/zoo.py`` last counted it."""

from collections import Counter

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from workshop.sphinx.measured_table import measured, table


def healthy(zoo):
    """Rows of counts for the healthy networks; readings of networks whose loss did not fall say nothing."""
    readings = [reading for reading in zoo.values() if reading["learning"]]
    started = sum(name.endswith(", start") for name in zoo)
    wrong = sorted({name for name, r in zoo.items() if r["learning"] and (r["verdict"] != "healthy" or r["causes"])})
    return [
        ("networks read as they are drawn", str(started)),
        ("of them read again after 50 steps of training", str(len(readings) - started)),
        ("verdicts other than healthy", str(sum(reading["verdict"] != "healthy" for reading in readings))),
        ("causes that are none", str(sum(reading["causes"] for reading in readings))),
        *([("where", "; ".join(wrong))] if wrong else []),
    ]


def planted(faults):
    """Rows of counts for the planted faults."""
    how = Counter(faults.values())
    missed = [name for name, what in sorted(faults.items()) if what == "missed"]
    return [
        ("planted faults", str(len(faults))),
        ("kinds of fault", str(len({name.partition(" in ")[0] for name in faults}))),
        ("found", f"{len(faults) - how['missed']} ({(len(faults) - how['missed']) / len(faults):.0%})"),
        (
            "with the right cause or layer among the first two causes",
            f"{how['located']} ({how['located'] / len(faults):.0%})",
        ),
        *([("missed", "; ".join(missed))] if missed else []),
    ]


class InstrumentResults(SphinxDirective):
    def run(self):
        found = measured(self, "instrument")
        made = []
        parts = (("zoo", "networks that nothing ails", healthy), ("faults", "networks that are ill", planted))
        for part, title, count in parts:
            if found.get(part):
                made.append(table("instrument", (60, 40), (title, "counted"), count(found[part])))
        return made or [nodes.paragraph("", "Nothing has been counted yet.")]


def setup(app):
    app.add_directive("instrument-results", InstrumentResults)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
