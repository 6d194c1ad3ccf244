# Everything runs in .venv, which the first command makes. Needs Python >= 3.11, pip, make, git.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
HAADFLOW_DATA ?= $(if $(wildcard ../shared/data),$(abspath ../shared/data),)
export HAADFLOW_DATA
SOAK := $(addprefix tests/system/test_,several_hosts.py load.py dead_letters.py hostile_input.py repeats.py)

.PHONY: help install demo test lint audit parity bench bench-curve bench-peers bench-scaling fuzz chaos epics microscope soak clean

help:
	@echo "make demo    a synthetic megalibrary through the chain, pictures in haadflow-demo/"
	@echo "make test    the tests"
	@echo "make lint    ruff, mypy --strict, import-linter"
	@echo "make parity  agreement with the published code's outputs (needs HAADFLOW_DATA)"
	@echo "make bench   speed, as a ratio to a plain baseline in the same run"
	@echo "make fuzz    the codec under a fuzzer, FUZZ_SECONDS=300 (installs it once)"
	@echo "make chaos   more than 10,000 frames under random kills of every process; about ten minutes"
	@echo "make microscope  the loop on two simulated microscopes (installs them once, 1 GB)"
	@echo "make epics   the tests with a simulated EPICS area detector (installs it once)"
	@echo "make soak    the tests of faults, hosts and load that take long; about five minutes"
	@echo "make bench-curve  what keys (CURVE) cost, one hop and the whole chain"
	@echo "make audit   known weaknesses of the pinned versions, as OSV lists them (needs a network)"
	@echo "make bench-peers  the chain beside multiprocessing, Dask and Ray (installs them once)"
	@echo "make bench-scaling  workers, cores, and the next bottleneck; writes docs/scaling.md"

$(VENV)/.installed: pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "haadflow needs Python >= 3.11; found $$("$(PYTHON)" --version). Say PYTHON=/path/to/python3.11"; exit 1; }
	@echo "== setting up $(VENV) (once, a minute or two)"
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[parquet,microscope,dev]'
	@touch $@

$(VENV)/.installed-epics: $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[epics,epics-source]'
	@touch $@

$(VENV)/.installed-peers: $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[peers]'
	@touch $@

$(VENV)/.installed-fuzz: $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[fuzz]'
	@touch $@

# A controller runs in an environment of its own: its licence or its dependencies ask for it.
.venv-%/.installed: deploy/controllers/%/requirements.txt deploy/controllers/%/constraints.txt
	"$(PYTHON)" -m venv .venv-$*
	.venv-$*/bin/python -m pip install --disable-pip-version-check --constraint deploy/controllers/$*/constraints.txt --requirement $<
	.venv-$*/bin/python -m pip install --disable-pip-version-check --no-deps --editable .
	@touch $@

.PRECIOUS: .venv-%/.installed

install: $(VENV)/.installed

demo: install
	$(BIN)/haadflow demo --out haadflow-demo

# The kernels are compiled once and first: else every process that meets a cold cache does it.
# Where Nion's simulator cannot be had, its tests are skipped, and say so.
test: install
	-@test -e .venv-nion/.installed || $(MAKE) .venv-nion/.installed
	$(BIN)/haadflow warm
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# In an environment of its own: what it needs is not pinned with ours, and says nothing about it.
.venv-audit/.installed:
	"$(PYTHON)" -m venv .venv-audit
	.venv-audit/bin/python -m pip install --disable-pip-version-check pip-audit==2.10.1
	@touch $@

audit: .venv-audit/.installed
	.venv-audit/bin/pip-audit --vulnerability-service osv --disable-pip --no-deps --requirement constraints.txt

parity: install
	$(BIN)/python -m benchmarks.parity

bench: install
	$(BIN)/python -m benchmarks

chaos: install
	$(BIN)/python -m tests.system.chaos

microscope: install .venv-nion/.installed .venv-direct-electron/.installed
	$(BIN)/python -m pytest tests/system/test_simulate.py

epics: install $(VENV)/.installed-epics
	$(BIN)/python -m pytest tests/system/test_epics.py

soak: install
	HAADFLOW_SOAK=1 $(BIN)/python -m pytest -rP --timeout 1200 $(SOAK)
bench-curve: install
	$(BIN)/python -m benchmarks.curve

bench-peers: install $(VENV)/.installed-peers
	$(BIN)/python -m benchmarks.peers

bench-scaling: install
	$(BIN)/python -m benchmarks.scaling --docs

FUZZ_SECONDS ?= 300

fuzz: install $(VENV)/.installed-fuzz
	$(BIN)/python -m tests.fuzz.codec fuzz-corpus -max_total_time=$(FUZZ_SECONDS)

clean:
	rm -rf $(VENV) .venv-audit haadflow-demo benchmarks/out fuzz-corpus
