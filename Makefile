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

DOCS := site

ONLY ?=

.PHONY: help demo docs test test-fast test-all test-files test-product \
	test-bits test-packages test-readers test-setup lint format benchmark browser

help:
	@echo "make demo       train the examples and show them in TensorBoard"
	@echo "                (SERVE=0 ends after training, LOGDIR=logs)"
	@echo "make test       set everything up, lint, and run the tests"
	@echo "make test-fast  those of them that take three minutes together"
	@echo "make test-bits  everything that compares weights bit for bit (long)"
	@echo "make test-all   every case there is (hours), and other Pythons"
	@echo "make test-packages  other packages, each in a program (an hour, 10 GB)"
	@echo "make test-readers   other readers of event files (minutes, 2 GB)"
	@echo "make docs       build the documentation as a site (DOCS=site)"
	@echo "make lint       check the style;  make format repairs it"
	@echo "make benchmark  measure what observing costs (long)"

demo: $(VENV)/examples.stamp
	$(BIN)/gradscope demo --logdir $(LOGDIR) \
	    $(if $(filter 0,$(SERVE)),--no-serve)

PYTEST := $(BIN)/python -m pytest -n 2
STEAL := --dist worksteal

# A worker keeps all that it has compiled, some 15 MB for each training, so the
# tests run in parts, each with new workers; all run even if one fails.
COMBINED := tests/trainings/test_combinations.py
# What trains once for a whole file is left to one worker.
WHOLE := $(wildcard tests/trainings/test_*replica*.py) \
	tests/project/test_examples.py tests/trainings/test_modes.py
TRAININGS := $(filter-out $(COMBINED) $(WHOLE), \
	$(wildcard tests/trainings/test_*.py))
WRAPPING := $(wildcard tests/wrapping/test_[a-m]*.py) tests/wrapping/steps
WRAPPED := $(filter-out $(WRAPPING),$(wildcard tests/wrapping/test_*.py))
KINDS := tests/wrapping/optimizers tests/wrapping/sessions
OTHERS := $(filter-out $(WHOLE), $(wildcard tests/project/test_*.py)) \
	$(addprefix tests/,cli comparing diagnosis evaluating format frontend \
	measuring mirroring plugin reading recording runtime)
PART = $(PYTEST) $(1) -m "not slow" $(2) || failed=1;

test: lint test-setup
	failed=0; $(call PART,$(STEAL),$(COMBINED)) \
	    $(call PART,$(STEAL),$(KINDS)) \
	    $(call PART,$(STEAL),$(WRAPPING)) \
	    $(call PART,$(STEAL),$(WRAPPED)) \
	    $(call PART,$(STEAL),tests/wrapping/forward) \
	    $(call PART,$(STEAL),$(TRAININGS)) \
	    $(call PART,$(STEAL),$(OTHERS)) \
	    $(call PART,--dist loadfile,$(WHOLE)) \
	    $(call PART,-n 3 --dist loadfile,tests/browser) exit $$failed

# To be waited for while one works.
test-fast: test-setup
	$(PYTEST) $(STEAL) --ignore tests/browser \
	    -m "not (slow or xla or replicas or examples or long)" tests

# Must pass before a change of the optimizers' seams, the measuring or the
# analysis of graphs is done.
BITS := $(addprefix tests/trainings/test_,bits*.py modes.py combinations.py \
	values.py options.py mixed_precision.py *replica*.py) \
	tests/wrapping/optimizers/test_*.py tests/wrapping/sessions/test_*.py

test-bits: test-setup
	failed=0; for file in $(sort $(wildcard $(BITS))); do \
	    $(PYTEST) $(STEAL) --durations=30 $$file || failed=1; done; \
	    exit $$failed

test-all:
	failed=0; for part in test-files test-product test-oldest; do \
	    $(MAKE) $$part || failed=1; done; \
	    for python in $(PYTHONS); do command -v $$python > /dev/null || continue; \
	        $(MAKE) test-pythons PYTHONS=$$python || failed=1; done; \
	    exit $$failed

# Each file has workers of its own: some hold 9 GB at their end.
FILES := $(filter-out tests/browser/% $(COMBINED), \
	$(wildcard $(foreach depth,* */* */*/*,tests/$(depth)/test_*.py)))
test-files: lint test-setup
	failed=0; for file in $(sort $(FILES)); do \
	    $(PYTEST) $(STEAL) --durations=30 $$file || failed=1; done; \
	    $(PYTEST) --dist loadfile --durations=30 tests/browser || failed=1; \
	    exit $$failed

# All optimizers x modes x options x precisions x ways to observe, in 90
# processes; ONLY="adam and fit_jit" chooses some.
test-product: test-setup
	$(PYTEST) --durations=30 -m slow -k "$(ONLY)" $(COMBINED)

# Programs of other packages, with versions that need Python 3.11: all, or
# PROGRAMS="name of a group or of a program".
PROGRAMS ?=
test-packages:
	$(PYTHON) packages/run.py --table $(PROGRAMS)

# Other readers of event files, each in an environment of its own and of a
# fixed version: some minutes, 2 GB, and Python 3.12 for one of them.
READERS ?=
test-readers: $(VENV)/test.stamp
	$(PYTHON) readers/run.py $(CURDIR)/$(BIN)/python $(READERS)

# All that the tests need and that none of them installs.
test-setup: browser $(VENV)/test.stamp .venv-wheel/stamp node_modules/stamp

node_modules/stamp: package.json | browser
	npm install --no-package-lock --no-audit
	touch $@

PACKAGED := $(shell git ls-files gradscope gradscope_plugin examples)
.venv-wheel/stamp: setup.cfg pyproject.toml tests/support/install_wheel.py \
		$(PACKAGED) | $(VENV)/test.stamp
	$(BIN)/python tests/support/install_wheel.py .venv-wheel
	touch $@

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m tools.house --check
	$(BIN)/mypy

# No warning: a link that leads nowhere is one.
docs: $(VENV)/docs.stamp
	$(BIN)/python -m sphinx -b html -W --keep-going -q docs $(DOCS)

format: $(VENV)/test.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.overhead

# The tests drive the page in Chromium, and its modules in node. The headless
# shell takes a sixth of the CPU's time for a page; any Chromium will do.
browser:
	@for need in chromium-headless-shell,chromium nodejs,node npm; do \
	    for name in $$(echo $$need | tr , ' '); do \
	        command -v $$name > /dev/null && continue 2; done; \
	    command -v apt-get > /dev/null || { \
	        echo "Please install $$name and try again." >&2; exit 1; }; \
	    test "$$updated" || $(SUDO) apt-get update -q && updated=1; \
	    for name in $$(echo $$need | tr , ' '); do \
	        $(SUDO) apt-get install -qy $$name && continue 2; done; \
	    exit 1; done

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/%.stamp: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	touch $@

# A part of the tests, on the oldest of all that setup.cfg allows.
SOME := tests/trainings/test_values.py tests/trainings/test_bits.py \
	tests/trainings/test_faults.py tests/trainings/test_endings.py \
	tests/reading/test_reading.py tests/plugin/test_plugin_matrices.py \
	tests/plugin/test_plugin_routes.py tests/diagnosis/test_rules_start.py \
	tests/cli/test_cli_diagnose.py
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
