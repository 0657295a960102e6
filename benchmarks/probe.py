"""What one ``gradclinic.probe`` costs over the zoo: its time and its memory over those of the bare pass, in one run.

    python benchmarks/probe.py [--only NAME]

A bare pass is forward, loss and backward of the same model and batch. Bare passes and probes take turns, one thread,
and their processor time counts, so that a busy machine slows both alike; the median of the turns counts. Memory is
the largest sum of all tensors alive at once, as PyTorch's own profiler counts each allocation, with the model's
weights.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from architectures import ZOO, Made, installed
from zoo import adam, value

import gradclinic

TURNS = 5
LARGE = 20  # ms; below that the time is that of Python's own calls, some ten ms a probe whatever the model


def bare(made: Made) -> None:
    """Forward, loss, backward."""
    model, x, y, loss = made
    value(model, x, y, loss).backward()
    model.zero_grad(set_to_none=True)


def seconds(run: Callable[[], Any]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def peak(run: Callable[[], Any]) -> int:
    """Largest number of bytes that PyTorch held at once during a call, above what it held before."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


def costs(made: Made) -> tuple[float, float, float]:
    """Milliseconds of a bare pass; time and memory of a probe over those of a bare pass."""
    model, x, y, loss = made
    optimizer = adam(model)

    def probe() -> None:
        gradclinic.probe(model, x, y, loss, optimizer=optimizer)

    bare(made)  # both once, to warm up
    probe()
    passes, ratios = [], []
    for _ in range(TURNS):
        passes.append(statistics.median(seconds(lambda: bare(made)) for _ in range(3)))
        ratios.append(seconds(probe) / passes[-1])
    weights = sum(p.nbytes for p in {*model.parameters(), *model.buffers()})
    memory = (weights + peak(probe)) / (weights + peak(lambda: bare(made)))
    return 1000 * statistics.median(passes), statistics.median(ratios), memory


def report(words: str, rows: list[tuple[float, float, float]]) -> None:
    """Print median and worst of time and memory over some models."""
    _, times, memories = zip(*rows, strict=True)
    for part, values in (("time", times), ("memory", memories)):
        print(f"{len(rows)} models{words}: {part} {statistics.median(values):.2f}, worst {max(values):.2f}")


def main() -> None:
    """Print a row for each model, and the median and the worst."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="models whose name has this in it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for name, make in (ZOO | installed()[0]).items():
        if arguments.only in name:
            torch.manual_seed(0)
            found[name] = costs(make())
            print("{:50} bare {:6.1f} ms   time {:5.2f}   memory {:5.2f}".format(name, *found[name]), flush=True)
    rows = list(found.values())
    report("", rows)
    large = [row for row in rows if row[0] >= LARGE]
    if large:
        report(f" with a bare pass of {LARGE} ms or more", large)


if __name__ == "__main__":
    main()
