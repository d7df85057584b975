# `make demo` and `make test` work on a fresh machine; see CONTRIBUTING.md.

# The system's, where it will do: Debian's runs a third faster than one that
# pyenv compiled, and much of the tests is tracing.
PYTHON ?= $(firstword $(foreach python,/usr/bin/python3 python3, \
	$(shell $(python) -c 'import ensurepip, sys; \
	    sys.exit(sys.version_info < (3, 10))' 2> /dev/null && \
	    echo $(python))) python3)
LOGDIR ?= logs
SERVE ?= 1

VENV := .venv
BIN := $(VENV)/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

# Each process of the tests would compile all of it anew.
unexport PYTHONDONTWRITEBYTECODE

# What is set up waits for the network and for pip in turn.
MAKEFLAGS += --jobs=3

.PHONY: help demo test test-fast test-all test-bits test-packages test-setup \
	lint format benchmark browser

help:
	@echo "make demo       train the examples and show them in TensorBoard"
	@echo "                (SERVE=0 ends after training, LOGDIR=logs)"
	@echo "make test       set everything up, lint, and run the tests"
	@echo "make test-fast  those of them that take three minutes together"
	@echo "make test-bits  everything that compares weights bit for bit (long)"
	@echo "make test-all   every case there is (hours), and other Pythons"
	@echo "make test-packages  other packages, each in a program (an hour, 10 GB)"
	@echo "make lint       check the style;  make format repairs it"
	@echo "make benchmark  measure what observing costs (long)"

demo: $(VENV)/examples.stamp
	$(BIN)/gradscope demo --logdir $(LOGDIR) \
	    $(if $(filter 0,$(SERVE)),--no-serve)

PYTEST := $(BIN)/python -m pytest -n 2
STEAL := --dist worksteal

# A worker keeps all that it has compiled, some 15 MB for each training, so the
# tests run in parts, each with new workers; all run even if one fails.
COMBINED := tests/test_combinations.py
# What trains once for a whole file is left to one worker.
WHOLE := $(wildcard tests/test_*replica*.py) tests/test_examples.py \
	tests/test_modes.py
OTHER := $(filter-out $(COMBINED) $(WHOLE),$(wildcard tests/test_*.py))
# `t` would be the largest without the files of tf_keras.
PARTS := tf_ [t-z] [p-s] [a-f] [g-o]
some = $(filter-out $(if $(filter tf_,$(1)),,tests/test_tf_%), \
	$(filter $(wildcard tests/test_$(1)*.py),$(OTHER)))
PART = $(PYTEST) $(1) -m "not slow" $(2) || failed=1;

test: lint test-setup
	failed=0; $(call PART,$(STEAL),$(COMBINED)) \
	    $(foreach part,$(PARTS), \
	        $(call PART,$(STEAL),$(call some,$(part)))) \
	    $(call PART,--dist loadfile,$(WHOLE)) \
	    $(call PART,--dist loadfile,tests/browser) exit $$failed

# To be waited for while one works.
test-fast: test-setup
	$(PYTEST) $(STEAL) --ignore tests/browser \
	    -m "not (slow or xla or replicas or examples or long)" tests

# Must pass before a change of the optimizers' seams, the measuring or the
# analysis of graphs is done.
BITS := tests/test_bits*.py tests/test_modes.py tests/test_combinations.py \
	tests/test_values.py tests/test_options.py tests/test_mixed_precision.py \
	tests/test_tf_keras*.py tests/test_compat_v1.py tests/test_*replica*.py

test-bits: test-setup
	failed=0; for file in $(sort $(wildcard $(BITS))); do \
	    $(PYTEST) $(STEAL) --durations=30 $$file || failed=1; done; \
	    exit $$failed

# Each file has workers of its own: some hold 9 GB at their end.
test-all: lint test-setup
	failed=0; for file in tests/test_*.py; do \
	    $(PYTEST) $(STEAL) --durations=30 $$file || failed=1; done; \
	    $(PYTEST) --dist loadfile --durations=30 tests/browser || failed=1; \
	    $(MAKE) test-oldest || failed=1; \
	    for python in $(PYTHONS); do command -v $$python > /dev/null || continue; \
	        $(MAKE) test-pythons PYTHONS=$$python || failed=1; done; \
	    exit $$failed

# Programs of other packages, with versions that need Python 3.11: all, or
# PROGRAMS="name of a group or of a program".
PROGRAMS ?=
test-packages:
	$(PYTHON) packages/run.py --table $(PROGRAMS)

# All that the tests need and that none of them installs.
test-setup: browser $(VENV)/test.stamp .venv-wheel/stamp node_modules/stamp

node_modules/stamp: package.json | browser
	npm install --no-package-lock --no-audit
	touch $@

PACKAGED := $(shell git ls-files gradscope gradscope_plugin examples)
.venv-wheel/stamp: setup.cfg pyproject.toml tests/install_wheel.py \
		$(PACKAGED) | $(VENV)/test.stamp
	$(BIN)/python tests/install_wheel.py .venv-wheel
	touch $@

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

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
