# make demo   train SlowFast and Slow-only on a small built-in set, test both, print one table
# make test   all tests that need no GPU
# make lint   ruff, as CI runs it
# make clean  remove what was built (not .venv)
# Each makes .venv first where it is missing, and installs again when setup.py has changed.
# Another interpreter: make test PYTHON=python3.12. Options for pip: PIP_ARGS="--find-links wheels --no-index".

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet $(PIP_ARGS)

.PHONY: venv demo test lint clean

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

lint: $(INSTALLED)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

clean:
	rm -rf build dist *.egg-info demo_output .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
