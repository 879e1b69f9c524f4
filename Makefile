# make demo   train SlowFast and Slow-only on a small built-in set, test both, print one table
# make test   all tests that need no GPU and little time
# make test-slow  those marked slow: trainings that learn, 20 kills, elastic restarts, two hours of video, more networks
# make test-oldest  the same with the oldest torch, torchvision and PyAV that are claimed, in .venv-oldest (several GB)
# make gpu    tests marked gpu, then the benchmark into gpu_benchmark.json; make gpu PART=1 to PART=5 one piece of it
# make wheels what a machine with torch but without a network needs for make gpu, into wheels/ (WHEELS_PYTHON=3.12)
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

# With wheels/ beside this file, make gpu takes PYTHON with its own torch and torchvision and unpacks the wheels beside
# it, without a network; otherwise it takes .venv.
WHEELS_PYTHON ?= 3.12
GPU_PACKAGES := .gpu-packages
ifneq ($(wildcard wheels/*.whl),)
GPU_READY := $(GPU_PACKAGES)/.installed
GPU_RUN := PYTHONPATH=$(CURDIR):$(CURDIR)/$(GPU_PACKAGES) $(PYTHON)
else
GPU_READY := $(INSTALLED)
GPU_RUN := $(BIN)/python
endif
GPU_PARTS := 1 2 3 4 5
PART ?= $(GPU_PARTS)

# Where the environment asks for no bytecode, every process would compile the package, and pytest every test, again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: venv demo test test-slow test-oldest gpu wheels lint clean

venv: $(INSTALLED)

# Without build isolation, so that nothing is fetched when all is there already.
$(INSTALLED): setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) 'setuptools>=64' wheel
	$(PIP) --no-build-isolation --editable '.[dev]'
	touch $@

demo: $(INSTALLED)
	$(BIN)/python -m slowfast demo $(ARGS)

# One process a core, each with one thread: a test's networks are too small for more.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not gpu and not slow" -n auto --dist worksteal $(ARGS)

# Minutes each.
test-slow: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow and not gpu" -n auto --dist worksteal $(ARGS)

$(OLDEST)/.installed: setup.py slowfast/utils/environment.py
	test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet $(PIP_ARGS) 'setuptools>=64' wheel $$($(PYTHON) tools/oldest_versions.py)
	$(OLDEST)/bin/python -m pip install --quiet $(PIP_ARGS) --no-build-isolation --editable '.[dev]' \
	    $$($(PYTHON) tools/oldest_versions.py)
	touch $@

test-oldest: $(OLDEST)/.installed
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -m "not gpu and not slow" -n auto --dist worksteal $(ARGS)

$(GPU_PACKAGES)/.installed: $(wildcard wheels/*.whl)
	$(PYTHON) -m pip --disable-pip-version-check install --quiet --no-index --no-deps --upgrade --target $(GPU_PACKAGES) \
	    wheels/*.whl
	touch $@

# 1 numbers, 2 training, 3 commands, 4 compile and export, 5 the benchmark: each is its own process.
gpu: $(GPU_READY) $(PART:%=gpu-part-%)

gpu-part-1 gpu-part-2 gpu-part-3 gpu-part-4: gpu-part-%: $(GPU_READY)
	CUBLAS_WORKSPACE_CONFIG=:4096:8 $(GPU_RUN) -m pytest -m gpu tests/gpu/test_$*_*.py $(ARGS)

gpu-part-5: $(GPU_READY)
	$(GPU_RUN) -m slowfast benchmark --gpus 1 --batch 8 --parts train eval --json gpu_benchmark.json

wheels: $(INSTALLED)
	$(BIN)/python tools/collect_wheels.py wheels --python $(WHEELS_PYTHON)

lint: $(INSTALLED)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

clean:
	rm -rf build dist *.egg-info demo_output .pytest_cache .ruff_cache $(GPU_PACKAGES) gpu_benchmark.json .mypy_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
