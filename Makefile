# Every target is a line or a few; `make` alone lists them. All of it works in a fresh clone and needs no privilege.

PYTHON ?= python3
BIN := .venv/bin
# Each folder with an __init__.py is a sub-package; `fleet` is the link below, which makes the tree importable under its name.
PACKAGES := $(filter-out fleet,$(patsubst %/__init__.py,%,$(wildcard */__init__.py)))
SOURCES := __init__.py $(foreach package,$(PACKAGES),$(wildcard $(package)/*.py $(package)/*.service))
PROSE := README.md Makefile setup.cfg ruff.toml $(wildcard docs/*.md) $(PACKAGES) tests
# Commands of ours find the tree or the installation by these; a shell that has them set must not lead them elsewhere.
unexport FLEET_ROOT PYTHONPATH PYTHONHOME

.NOTPARALLEL:
.PHONY: help demo test check lint types rows bench bench-scale soak chaos docs format wheel wheelhouse clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*##  */\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: .venv/.installed  ## a master and three minions at work; KEEP=1 leaves them running
	@$(BIN)/python -P tests/demo.py $(if $(KEEP),--keep)

check: lint types test  ## everything that must be right before a change goes in

lint: .venv/.tools  ## style, format and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell $(PROSE)

types: .venv/.tools fleet  ## strict types of the product and of its tests
	$(BIN)/mypy $(addprefix fleet/,__init__.py $(PACKAGES)) tests

test: .venv/.rewritten  ## the whole suite; ARGS='-k name' for a part of it
	@$(BIN)/pytest -n 6 --dist loadfile --no-loadscope-reorder $(ARGS)

rows: .venv/.tools  ## each acceptance row, the test that shows it, and how it went
	@$(BIN)/python -P tests/rows.py $(ARGS)

bench: .venv/.tools  ## time and memory, a line of JSON a figure; ARGS='--runs 5 light' for fewer (docs/performance.md)
	@PYTHONPATH=tests $(BIN)/python -P -m bench $(ARGS)

bench-scale: .venv/.plotting  ## crowds of light minions; N="10 100 1000 3000 9000" draws them too, LINES=file draws a saved run (docs/performance.md)
	@PYTHONPATH=tests $(BIN)/python -P -m $(if $(LINES),bench.plots $(LINES),bench.scale $(N)) $(ARGS)

soak: .venv/.tools  ## reconnect a hundred minions 200 times: descriptors and memory of the master stay flat
	@FLEET_TEST_ROUNDS=200 $(BIN)/pytest tests/scale $(ARGS)

chaos: .venv/.tools  ## strike a fleet at work with faults of every kind, then audit it; SEED=1 DURATION=60 KEEP=1 (docs/reliability.md)
	@PYTHONPATH=tests $(BIN)/python -P -m faults.run $(if $(SEED),--seed $(SEED)) $(if $(DURATION),--seconds $(DURATION)) \
	    $(if $(KEEP),--keep) $(ARGS)

docs: .venv/.tools  ## write docs/reference.md and docs/functions.md from the code
	PYTHONPATH=tests $(BIN)/python -P -m support.reference

format: .venv/.tools  ## put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: .venv/.made  ## build dist/fleetmq-*.whl
	rm -rf build dist
	$(BIN)/pip wheel -qq --no-deps --no-build-isolation --wheel-dir dist .

wheelhouse: .venv/.wheels  ## our wheel and those of all its libraries in dist/wheelhouse, for machines without a network
	rm -rf build dist/wheelhouse
	$(BIN)/pip wheel -qq --no-build-isolation --no-index --find-links .venv/wheels --wheel-dir dist/wheelhouse .

clean:  ## remove what the other targets made
	rm -rf .venv fleet build dist fleetmq.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment, the tools of its developers, and the project as its users have it: installed, not linked.

.venv/.made: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo 'python3 is missing; on Debian: apt-get install python3 python3-venv'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "fleet needs Python 3.11 or newer, and $(PYTHON) is `$(PYTHON) -V`; name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo 'venv is missing; on Debian: apt-get install python3-venv'; exit 1; }
	@command -v git >/dev/null || { echo 'git is missing; on Debian: apt-get install git'; exit 1; }
	@echo 'Making the virtual environment .venv (once; a minute at the most) …'
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/pip install -qq --disable-pip-version-check 'setuptools >= 77'
	@touch $@

.venv/.installed: .venv/.made setup.cfg $(SOURCES)
	@rm -rf build
	@$(BIN)/pip install -qq --disable-pip-version-check --no-build-isolation .
	@touch $@

.venv/.tools: setup.cfg | .venv/.installed
	@$(BIN)/pip install -qq --disable-pip-version-check --no-build-isolation '.[test,check]'
	@touch $@

# What draws plots is large, and nobody else needs it.
.venv/.plotting: setup.cfg | .venv/.tools
	@$(BIN)/pip install -qq --disable-pip-version-check --no-build-isolation '.[plot]'
	@touch $@

# pytest rewrites each test file to show what an assert compared: done once here, and not by every worker at the same time.
.venv/.rewritten: .venv/.tools $(wildcard tests/*.py tests/*/*.py tests/*/*/*.py)
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest --collect-only -o python_functions=none >/dev/null 2>&1 || true
	@touch $@

# What of a wheelhouse comes over the network: fetched once, as pip is configured here, and again when the libraries change.
.venv/.wheels: setup.cfg | .venv/.made
	@rm -rf build .venv/wheels
	@$(BIN)/pip wheel -qq --disable-pip-version-check --no-build-isolation --wheel-dir .venv/wheels .
	@rm .venv/wheels/fleetmq-*
	@touch $@

fleet:
	ln -s . fleet
