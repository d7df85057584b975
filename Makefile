# `make demo` and `make test` work on a fresh machine; see CONTRIBUTING.md.

PYTHON ?= python3
LOGDIR ?= logs
SERVE ?= 1

VENV := .venv
BIN := $(VENV)/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: help demo test lint format benchmark browser

help:
	@echo "make demo       train the examples and show them in TensorBoard"
	@echo "                (SERVE=0 ends after training, LOGDIR=logs)"
	@echo "make test       set everything up, lint and run every test"
	@echo "make lint       check the style;  make format repairs it"
	@echo "make benchmark  measure what observing costs (long)"

demo: $(VENV)/examples.stamp
	$(BIN)/gradscope demo --logdir $(LOGDIR) \
	    $(if $(filter 0,$(SERVE)),--no-serve)

# A worker keeps all that it has compiled: of all tests at once two of them had
# 9 GB each. So they run in parts, and all parts run even if one fails.
PARTS := tests/test_[a-c]*.py tests/test_[d-q]*.py tests/test_[r-t]*.py \
	tests/test_[u-z]*.py tests/browser

test: lint browser
	failed=0; for part in $(foreach part,$(PARTS),"$(wildcard $(part))"); do \
	    $(BIN)/python -m pytest -n 2 $$part || failed=1; done; exit $$failed

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/test.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.overhead

# The tests drive the page in Chromium, and its modules in node.
browser:
	@for need in chromium:chromium node:nodejs npm:npm; do \
	    command -v $${need%:*} > /dev/null && continue; \
	    command -v apt-get > /dev/null || { \
	        echo "Please install $${need%:*} and try again." >&2; exit 1; }; \
	    $(SUDO) apt-get update -q && \
	    $(SUDO) apt-get install -qy $${need#*:} || exit 1; done

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/%.stamp: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	touch $@

# A part of the tests, on the oldest of all that setup.cfg allows.
SOME := tests/test_values.py tests/test_bits.py tests/test_reading.py \
	tests/test_plugin_routes.py tests/test_rules_start.py \
	tests/test_cli_diagnose.py tests/test_faults.py
OLDEST := tensorflow==2.21.0 keras==3.12.0 tensorboard==2.21.0 numpy==1.26.4 \
	protobuf==6.31.1

.PHONY: test-oldest test-pythons
test-oldest:
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --editable . $(OLDEST) \
	    hypothesis pytest pytest-xdist
	.venv-oldest/bin/python -m pytest -n 2 $(SOME)

# The same part on other Pythons: PYTHONS="python3.10 path/to/python3.13".
PYTHONS ?= python3.10 python3.12 python3.13
test-pythons:
	for python in $(PYTHONS); do \
	    $$python -m venv --clear .venv-other && \
	    .venv-other/bin/python -m pip install --quiet --editable \
	        ".[tensorflow]" hypothesis pytest pytest-xdist && \
	    .venv-other/bin/python --version && \
	    .venv-other/bin/python -m pytest -n 2 $(SOME) || exit 1; done
