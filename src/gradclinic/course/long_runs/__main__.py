"""Make the long runs anew and store them: hours on a busy machine, in pieces of a minute that can be interrupted.

    python -m gradclinic.course.long_runs                    # every topic, what is stored already is kept
    python -m gradclinic.course.long_runs matrix             # one topic
    python -m gradclinic.course.long_runs matrix --only "A muon" --again

Each run is stored as soon as it ends; the command started again goes on where it was stopped. ``--again`` repeats what
is stored, ``--only`` names single runs. One thread: the runs are many small matrices.
"""

from __future__ import annotations

import argparse
import importlib
import time

import torch

from gradclinic.course.long_runs import storing

TOPICS = ("matrix", "variants", "recurrent")


def make(topic: str, only: list[str], again: bool) -> None:
    """Run what is asked for of one topic and store each run when it ends."""
    module = importlib.import_module(f"gradclinic.course.long_runs.{topic}")
    tasks, runs = module.tasks(), storing.read(topic)
    if unknown := [key for key in only if key not in tasks]:
        raise SystemExit(f"--only: {unknown[0]!r} is no run of {topic}; its runs: {'; '.join(tasks)}")
    todo = [key for key in only or tasks if again or key not in runs]
    print(f"{topic}: {len(tasks)} runs, {len(todo)} to do")
    for number, key in enumerate(todo, start=1):
        start = time.monotonic()
        runs[key] = tasks[key]()
        runs = {name: runs[name] for name in tasks if name in runs}
        storing.write(topic, module.ABOUT, runs)
        print(f"  {number}/{len(todo)}  {key:36} {time.monotonic() - start:6.1f} s", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and make the runs."""
    about = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m gradclinic.course.long_runs", description=about)
    parser.add_argument("topics", nargs="*", metavar="topic", help=f"one or more of {', '.join(TOPICS)}; all of them")
    parser.add_argument("--only", action="append", default=[], metavar="RUN", help="this run alone, may be repeated")
    parser.add_argument("--again", action="store_true", help="repeat runs that are stored")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.topics) - set(TOPICS):
        parser.error(f"topic: got {', '.join(sorted(unknown))}, wanted {', '.join(TOPICS)}")
    if asked.only and len(asked.topics) != 1:
        parser.error("--only: wanted exactly one topic with it")
    torch.set_num_threads(1)
    for topic in asked.topics or TOPICS:
        make(topic, asked.only, asked.again)


if __name__ == "__main__":
    main()
