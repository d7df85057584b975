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

# What is set up waits for the network and for pip in turn, and a test for a page
# or another process: three at a time keep two cores busy.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += --jobs=3
endif

DOCS := site

ONLY ?=

.PHONY: help demo docs test test-fast test-all test-parts test-triples \
	test-product test-bits test-packages test-versions test-readers test-setup slowest \
	lint format benchmark browser

help:
	@echo "make demo       train the examples and show them in TensorBoard"
	@echo "                (SERVE=0 ends after training, LOGDIR=logs)"
	@echo "make test       set everything up, lint, and run the tests"
	@echo "make test-fast  those of them that take three minutes together"
	@echo "make test-bits  everything that compares weights bit for bit (long)"
	@echo "make test-all   every case there is (hours), and other Pythons"
	@echo "make test-packages  other packages, each in a program (an hour, 10 GB)"
	@echo "make test-versions  other versions of TensorFlow and Keras (hours, 20 GB)"
	@echo "make test-readers   other readers of event files (10 minutes, 4 GB)"
	@echo "make docs       build the documentation as a site (DOCS=site)"
	@echo "make lint       check the style;  make format repairs it"
	@echo "make benchmark  measure what observing costs (long)"

demo: $(VENV)/examples.stamp
	$(BIN)/gradscope demo --logdir $(LOGDIR) \
	    $(if $(filter 0,$(SERVE)),--no-serve)

# A process keeps all that it has compiled, some 15 MB for each training, so the
# tests run in parts, each of them a process that ends after a minute with
# 2.4 GB at most. The longest come first, so that no core is idle at the end.
COMBINED := tests/trainings/test_combinations.py
REPLICAS := $(wildcard tests/trainings/test_*replica*.py)
EXAMPLES := tests/project/test_examples.py
TF_KERAS := $(addprefix tests/wrapping/optimizers/test_tf_keras,.py _steps.py)
trainings = $(filter-out $(COMBINED) $(REPLICAS), \
	$(wildcard tests/trainings/test_[$(1)]*.py))
wrapping = $(wildcard tests/wrapping/test_[$(1)]*.py)
forward = $(wildcard tests/wrapping/forward/test_[$(1)]*.py)

part-browser = tests/browser
part-evaluating = $(addprefix tests/,evaluating recording)
part-combined = -k "not fit_jit" $(COMBINED)
part-examples = $(EXAMPLES)
part-replicas = $(REPLICAS)
part-sessions = tests/wrapping/sessions $(lastword $(TF_KERAS))
part-plugin = $(addprefix tests/,drawing format frontend mirroring notebook \
	plugin reading report) \
	$(filter-out $(EXAMPLES),$(wildcard tests/project/test_*.py))
part-trainings-m = $(call trainings,m)
part-forward-t-z = $(call forward,t-z)
part-wrapping-t-z = $(call wrapping,t-z)
part-trainings-e-l = $(call trainings,e-l)
part-wrapping-f-n = $(call wrapping,f-n)
part-combined-xla = -k fit_jit $(COMBINED)
part-forward-a-l = $(call forward,a-l)
part-trainings-n-z = $(call trainings,n-z)
part-forward-m-s = $(call forward,m-s)
part-wrapping-s = $(call wrapping,s)
part-tf-keras = $(firstword $(TF_KERAS))
part-measuring = $(addprefix tests/,cli comparing diagnosis measuring runtime)
part-wrapping-a-e = $(call wrapping,a-e) tests/wrapping/steps
part-optimizers = $(filter-out $(TF_KERAS), \
	$(wildcard tests/wrapping/optimizers/test_*.py))
part-wrapping-o-r = $(call wrapping,o-r)
part-trainings-a-d = $(call trainings,a-d)
# Make looks at them in this order, and returns to those that wait for what is set
# up only after all others: what needs the wheel is not among the first.
TEST_PARTS := $(addprefix part-,evaluating combined examples browser replicas \
	sessions plugin trainings-m forward-t-z wrapping-t-z trainings-e-l \
	wrapping-f-n combined-xla forward-a-l trainings-n-z forward-m-s \
	wrapping-s tf-keras measuring wrapping-a-e optimizers wrapping-o-r \
	trainings-a-d)

MARKS ?= not slow
TIMES := $(VENV)/times
PYTEST := $(BIN)/python -m pytest
TIMED = $(PYTEST) --junitxml=$(TIMES)/$@.xml

.PHONY: $(TEST_PARTS)
$(TEST_PARTS): $(VENV)/test.stamp
	$(TIMED) -m "$(MARKS)" $($@)
part-browser part-plugin: browser .venv-wheel/stamp node_modules/stamp
part-trainings-a-d: .venv-jax/stamp

test test-parts: test-setup lint $(TEST_PARTS)

# The slow cases, too.
test-parts: MARKS = not hours

# All run even if one fails, and each part's lines stay together.
ifneq ($(filter test test-parts,$(MAKECMDGOALS)),)
MAKEFLAGS += --keep-going $(addprefix --,$(filter output-sync,$(.FEATURES)))
endif

# To be waited for while one works.
test-fast: test-setup
	$(PYTEST) -n 2 --dist worksteal --ignore tests/browser \
	    -m "not (slow or xla or replicas or examples or long)" tests

# Must pass before a change of the optimizers' seams, the measuring or the
# analysis of graphs is done.
BITS := $(addprefix tests/trainings/test_,bits*.py modes.py values.py \
	options.py mixed_precision.py *replica*.py) \
	tests/wrapping/optimizers/test_*.py tests/wrapping/sessions/test_*.py

test-bits: test-setup
	failed=0; for file in $(sort $(wildcard $(BITS))); do \
	    $(PYTEST) -n 2 --dist worksteal --durations=30 $$file || failed=1; \
	    done; $(MAKE) part-combined part-combined-xla test-triples || failed=1; \
	    exit $$failed

test-all:
	rm -rf $(TIMES)
	failed=0; for part in test-parts test-triples test-oldest test-pythons \
	    slowest; do $(MAKE) $$part || failed=1; done; exit $$failed

slowest: $(VENV)/test.stamp
	$(BIN)/python -m tools.slowest $(TIMES)

# Every optimizer in every mode with and without XLA, and cases among which any
# three levels meet, in 120 processes; ONLY="adam and fit_jit" chooses some.
test-triples: test-setup
	$(TIMED) -n 2 -k "$(ONLY)" \
	    $(COMBINED)::test_observing_changes_no_bit_where_any_three_levels_meet

# All optimizers x modes x options x precisions x ways to observe, in 90
# processes: 15 hours on one core.
test-product: test-setup
	$(TIMED) -n 2 -k "$(ONLY)" \
	    $(COMBINED)::test_observing_changes_no_bit_in_the_full_product

# Programs of other packages, with versions that need Python 3.11: all, or
# PROGRAMS="name of a group or of a program".
PROGRAMS ?=
test-packages:
	$(PYTHON) packages/run.py --table $(PROGRAMS)

# A part of the tests beside older and newer libraries: all of versions/sets, or
# SETS="2.16 nightly"; all of versions/parts.json, or PARTS="values bits".
SETS ?=
PARTS ?=
test-versions: browser
	$(PYTHON) versions/run.py --table $(if $(SETS),--sets $(SETS)) \
	    $(if $(PARTS),--parts $(PARTS))

# Other readers of event files, each in an environment of its own and of a
# fixed version: ten minutes, 4 GB, and Python 3.12 for one of them.
READERS ?=
test-readers: $(VENV)/test.stamp
	$(PYTHON) readers/run.py $(CURDIR)/$(BIN)/python $(READERS)

# All that the tests need and that none of them installs.
test-setup: browser $(VENV)/test.stamp .venv-wheel/stamp .venv-jax/stamp \
	node_modules/stamp

node_modules/stamp: package.json | browser
	npm install --no-package-lock --no-audit
	touch $@

PACKAGED := $(shell git ls-files gradscope gradscope_plugin examples)
.venv-wheel/stamp: setup.cfg pyproject.toml tests/support/install_wheel.py \
		$(PACKAGED) | $(VENV)/test.stamp
	$(BIN)/python tests/support/install_wheel.py .venv-wheel
	touch $@

# For one test: TensorFlow imports it wherever it is installed.
.venv-jax/stamp: | $(VENV)/test.stamp
	$(BIN)/python -m pip install --quiet --no-compile --target $(@D) "jax>=0.4.30"
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

# Python compiles what it imports, which is a third of it.
$(VENV)/%.stamp: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --no-compile --editable ".[$*]"
	touch $@

.PHONY: test-oldest test-pythons
test-oldest: browser
	$(PYTHON) versions/run.py --sets 2.16

SOME := tests/trainings/test_values.py tests/trainings/test_bits.py \
	tests/trainings/test_faults.py tests/trainings/test_endings.py \
	tests/reading/test_reading.py tests/plugin/test_plugin_matrices.py \
	tests/plugin/test_plugin_routes.py tests/diagnosis/test_rules_start.py \
	tests/cli/test_cli_diagnose.py

# A part of the tests on other Pythons, where they are installed:
# PYTHONS="python3.10 path/to/python3.13". Shims of pyenv may run none.
PYTHONS ?= $(foreach minor,10 12 13,$(firstword \
	$(wildcard $(HOME)/.pyenv/versions/3.$(minor).*/bin/python) \
	python3.$(minor)))
test-pythons:
	failed=0; for python in $(PYTHONS); do \
	    $$python --version || continue; \
	    $$python -m venv --clear .venv-other && \
	    .venv-other/bin/python -m pip install --quiet --editable \
	        ".[tensorflow]" hypothesis pytest pytest-xdist && \
	    .venv-other/bin/python -m pytest -n 2 --durations=30 $(SOME) || \
	    failed=1; done; exit $$failed
