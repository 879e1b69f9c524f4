# make demo   train SlowFast and Slow-only on a small built-in set, test both, print one table
# make test   all tests that need no GPU
# make test-oldest  the same with the oldest torch, torchvision and PyAV that are claimed, in .venv-oldest (several GB)
# make lint   ruff and mypy, as CI runs them
# make clean  remove what was built (not .venv)
# Each makes .venv first where it is missing, and installs again when setup.py has changed.
# Another interpreter: make test PYTHON=python3.12. Options for pip: PIP_ARGS="--find-links wheels --no-index".

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet $(PIP_ARGS)

OLDEST := .venv-oldest

.PHONY: venv demo test test-oldest lint clean

venv: $(INSTALLED)

# Without build isolation, so that nothing is fetched when all is there already.
$(INSTALLED): setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) 'setuptools>=64' wheel
	$(PIP) --no-build-isolation --editable '.[dev]'
	touch $@

demo: $(INSTALLED)
	$(BIN)/python -m slowfast.cli.demo $(ARGS)

# One process a core, each with one thread: a test's networks are too small for more.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not gpu" -n auto --dist worksteal $(ARGS)

$(OLDEST)/.installed: setup.py slowfast/utils/environment.py
	test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet $(PIP_ARGS) 'setuptools>=64' wheel $$($(PYTHON) tools/oldest_versions.py)
	$(OLDEST)/bin/python -m pip install --quiet $(PIP_ARGS) --no-build-isolation --editable '.[dev]' \
	    $$($(PYTHON) tools/oldest_versions.py)
	touch $@

test-oldest: $(OLDEST)/.installed
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -m "not gpu" -n auto --dist worksteal $(ARGS)

lint: $(INSTALLED)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

clean:
	rm -rf build dist *.egg-info demo_output .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
