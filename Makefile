# Thin: every target calls one command. Works with POSIX sh and make 3.81 (macOS).
# `make PYTHON=/path/to/python3.12 book` chooses the interpreter; `make JOBS=4 record` the pages at a time;
# `make LAB="--no-browser --port=9000" lab` gives JupyterLab options.

VENV = .venv
STAMP = $(VENV)/.ready
RUN = $(VENV)/bin/python
JOBS = 2
WORKERS = 2
FREE_KB = 5000000
MEMORY_KB = 2500000
FIT = $(dir $(firstword $(MAKEFILE_LIST)))src/workshop/fit.py

# One thread in each worker: two workers on two cores, and sums in one order.
ONE_THREAD = OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.PHONY: help book live pdf test test-fast test-live test-processors lab record check grade-demo benchmarks mutants lock clean

help:
	@echo "make book     set up once, then build the site (prints where it is)"
	@echo "make live     bring Python for the browser into a cache; make book then builds pages that run (47 MB)"
	@echo "make pdf      print the whole book from its recordings (needs Chromium or Chrome)"
	@echo "make test     set up once, then run every test, every chapter included"
	@echo "make test-fast  the tests of what was changed, within 90 seconds"
	@echo "make test-live  every page that runs in the browser, cell by cell, in Chromium (after make live)"
	@echo "make test-processors  numerical tests and chapters as on other processors, in a table"
	@echo "make lab      open the chapters in JupyterLab"
	@echo "make record   execute the chapters that are out of date, write their notebooks"
	@echo "make check    pages, notebooks, links, figures and citations, without running anything"
	@echo "make grade-demo  grade a made-up class from end to end, in _build/grade-demo"
	@echo "make benchmarks  measure again what the page of that name shows"
	@echo "make mutants  change core modules line by line: does a test notice?"
	@echo "make lock     pin the environment anew from pyproject.toml (needs uv)"
	@echo "make clean    remove what was built; keeps the environment (rm -r $(VENV) removes that)"

book: $(STAMP)
	@$(RUN) -m workshop record --jobs $(JOBS) && $(RUN) -m workshop check && $(RUN) -m workshop site || \
	  { echo "book: not built; the site that was there stays as it was"; exit 1; }

live: $(STAMP)
	@$(RUN) -m workshop live $(LIVE_OPTIONS)

pdf: $(STAMP)
	@$(RUN) -m workshop pdf

# All stages run, whatever becomes of them; a summary names each.
test: $(STAMP)
	@$(RUN) -m workshop test --jobs $(WORKERS)

test-fast: $(STAMP)
	@$(RUN) -m workshop test --jobs $(WORKERS) --fast

# Every live page, not one; the table goes to _build/live.md.
test-live: $(STAMP)
	@rm -rf _build/live
	@GRADCLINIC_LIVE_PAGES=all $(ONE_THREAD) $(RUN) -m pytest -q -n $(WORKERS) --dist load --maxschedchunk 1 tests/site/test_live.py
	@$(RUN) -m workshop live --table

test-processors: $(STAMP)
	@$(RUN) -m workshop processors --jobs $(WORKERS) $(PROCESSORS)

# The texts themselves, opened as notebooks (.jupyter says so): links lead on, and what is saved is the source. As in a
# recording, what C libraries write goes to the terminal, not under the cells; ipykernel looks for that variable.
lab: $(STAMP)
	@JUPYTER_CONFIG_PATH="$(CURDIR)/.jupyter" PYTEST_CURRENT_TEST=lab $(ONE_THREAD) TF_CPP_MIN_LOG_LEVEL=3 \
	  $(RUN) -m jupyterlab --log-level=WARN --LabApp.default_url=/lab/tree/book/index.md $(LAB)

record: $(STAMP)
	@$(RUN) -m workshop record --jobs $(JOBS)

check: $(STAMP)
	@$(RUN) -m workshop check

grade-demo: $(STAMP)
	@$(RUN) -m workshop.grading.demo

# Reads the clock, so on a quiet machine and one thread; the ratios go to the page of the same name.
benchmarks: $(STAMP)
	@mkdir -p _build
	@$(ONE_THREAD) $(RUN) -m pytest -q benchmarks -o python_files='bench_*.py' --benchmark-json=_build/benchmarks.json
	@$(ONE_THREAD) $(RUN) benchmarks/watch.py
	@$(ONE_THREAD) $(RUN) benchmarks/remedies.py
	@$(ONE_THREAD) $(RUN) benchmarks/hundred.py
	@$(RUN) benchmarks/page.py

mutants: $(STAMP)
	@$(ONE_THREAD) $(RUN) benchmarks/mutants.py $(MUTANTS)

lock:
	@command -v uv >/dev/null || { echo "make lock: needs uv on the PATH: https://github.com/astral-sh/uv"; exit 1; }
	uv pip compile --quiet --universal --all-extras --no-annotate --python-version 3.11 \
	  --custom-compile-command "make lock" --output-file requirements.txt pyproject.toml

clean:
	rm -rf _build .pytest_cache .ruff_cache

# The environment: made once, made again when a pin changes.
$(STAMP): requirements.txt
	@python=""; others=""; \
	for candidate in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
	  if why=$$("$$candidate" $(FIT) python 2>/dev/null); then python="$$candidate"; break; fi; \
	  if test -n "$$why"; then others=" ($$candidate $$why)"; fi; \
	  if test "$$candidate" = "$(PYTHON)"; then break; fi; \
	done; \
	if test -z "$$python"; then \
	  echo "make: no Python 3.11, 3.12 or 3.13 with venv found$(if $(PYTHON), as PYTHON=$(PYTHON))$$others; install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; \
	fi; \
	why=$$("$$python" $(FIT) machine "$(CURDIR)" $(FREE_KB) $(MEMORY_KB)) || { echo "make: $$why"; exit 1; }; \
	echo "setup: $$("$$python" --version), environment in $(VENV), a few minutes the first time"; \
	if ! test -x $(RUN); then "$$python" -m venv $(VENV) || exit 1; fi
	@echo "setup: installing the pinned packages of requirements.txt"
	@$(RUN) -m pip install --disable-pip-version-check --requirement requirements.txt
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(RUN) -c 'import matplotlib.font_manager' 2>/dev/null
	@touch $@
	@echo "setup: ready"
