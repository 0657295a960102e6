"""What each remedy costs: seconds per training step over those of the untreated patient, in the same run.

    python benchmarks/remedies.py              # every row
    python benchmarks/remedies.py muon gelu    # these rows; what is stored of the others stays

Every remedy is timed in turns with the untreated patient, one thread, so that a busy machine slows both alike; the
median over the turns is written to ``src/gradclinic/course/cost.json``, which the matrix of remedies shows.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from gradclinic.course import registry, remedies

TURNS, STEPS, RATES = 7, 20, (1e-4,)
FILE = Path(__file__).parents[1] / "src/gradclinic/course/cost.json"


def seconds(treatment: remedies.Treatment) -> float:
    """Wall time of :data:`STEPS` training steps of five seeds at one rate."""
    start = time.perf_counter()
    remedies.train(treatment, RATES, steps=STEPS)
    return time.perf_counter() - start


def main(keys: list[str]) -> None:
    """Time the remedies against no remedy and write the ratios in the order of the matrix."""
    torch.set_num_threads(1)
    ratios: dict[str, dict[str, float]] = json.loads(FILE.read_text("utf-8"))
    for patient in remedies.PATIENTS:
        bare = remedies.treat(patient, "none")
        for key in keys or registry.ROWS:
            treated = remedies.treat(patient, key)
            seconds(treated)  # warm up
            turns = [seconds(treated) / seconds(bare) for _ in range(TURNS)]
            ratios.setdefault(key, {})[patient] = round(float(np.median(turns)), 2)
            print(f"{patient} {key:28} {ratios[key][patient]:5.2f}   range {min(turns):.2f} to {max(turns):.2f}")
    ordered = {key: ratios[key] for key in registry.ROWS if key in ratios}
    FILE.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
