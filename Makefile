# What a contributor runs. Needs make and Python >= 3.11; everything else comes from requirements.lock.

PYTHON ?= python3
.SHELLFLAGS := -ec
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
READY := $(VENV)/.ready
PLUGINS := $(wildcard plugins/*)
PYPROJECTS := pyproject.toml $(PLUGINS:%=%/pyproject.toml)
EDITABLE := --editable '.[docker,s3]' $(PLUGINS:%=--editable %)
PARALLEL := --numprocesses auto --dist worksteal
NOT_OURS := --no-emit-package fairing-core $(PLUGINS:plugins/%=--no-emit-package fairing-%)

.PHONY: help
help: ## Shows this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(READY) ## Trains a small model on real data, as a run on this machine.
	@$(BIN)/python examples/digits/train.py

.PHONY: test
test: $(READY) ## Runs the tests.
	@$(BIN)/pytest $(PARALLEL)

.PHONY: test-real
test-real: $(READY) ## Brings the bench up and runs the tests that need it (Linux, root, Go).
	$(BIN)/python -m tests.bench up
	$(BIN)/pytest -m 'real and not alone' --numprocesses 2 --dist worksteal
	$(BIN)/pytest -m alone

.PHONY: bench-up
bench-up: $(READY) ## Brings the bench of real parts up; the first time builds them.
	@$(BIN)/python -m tests.bench up

.PHONY: bench-down
bench-down: $(READY) ## Takes the bench away.
	@$(BIN)/python -m tests.bench down

.PHONY: check
check: $(READY) ## Runs all that a change has to pass: format, lint, types, arrows, tests, coverage.
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir .cache/import-linter
	$(BIN)/pytest $(PARALLEL) --cov --cov-report=term

.PHONY: format
format: $(READY) ## Formats the code and mends what ruff can mend.
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

.PHONY: build
build: $(READY) ## Builds the wheels of the distributions into dist/.
	rm -rf dist
	for project in . $(PLUGINS); do \
	    (cd $$project && $(CURDIR)/$(BIN)/hatchling build --target wheel --directory $(CURDIR)/dist); \
	done

# In these two legs what we depend on is at its floors, or newest; the test tools are the newest.

.PHONY: test-lowest
test-lowest: $(READY) ## Runs the tests with the lowest version of each dependency.
	mkdir -p .cache
	$(UV) pip compile --quiet --python $(BIN)/python --resolution lowest-direct --all-extras \
	    --no-header --no-annotate $(NOT_OURS) $(PYPROJECTS) --output-file .cache/lowest.txt
	$(UV) venv --quiet --clear --python $(BIN)/python .cache/lowest
	$(UV) pip install --python .cache/lowest --constraints .cache/lowest.txt --group test $(EDITABLE)
	.cache/lowest/bin/pytest

.PHONY: test-newest
test-newest: $(READY) ## Runs the tests with the newest versions; what uses Kubernetes' with its newest, too.
	$(UV) venv --quiet --clear --python $(BIN)/python .cache/newest
	$(UV) pip install --python .cache/newest --refresh --group test $(EDITABLE)
	.cache/newest/bin/pytest
	$(UV) venv --quiet --clear --python $(BIN)/python .cache/newest-core
	$(UV) pip install --python .cache/newest-core --group test --editable .
	.cache/newest-core/bin/pytest tests/core/cli tests/core/cluster tests/core/deploy tests/core/test_*.py

.PHONY: lock
lock: $(READY) ## Renews requirements.lock: the newest versions, hash-pinned, for every platform.
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --custom-compile-command 'make lock' --annotation-style line \
	    --all-extras --group dev --group demo $(NOT_OURS) $(PYPROJECTS) \
	    --output-file requirements.lock

.PHONY: clean
clean: ## Removes all that was made here.
	rm -rf $(VENV) .cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip installs only uv, by its lines of the lock; uv makes the environment exactly the lock's.
$(READY): requirements.lock $(PYPROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo >&2 "Fairing needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	        "Name another one: make PYTHON=python3.12"; exit 1; }
	@echo >&2 "setting up $(VENV) (once, some 20 s)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@awk '/^[^ ]/ { uv = /^uv==/ } uv' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	    --requirement $(VENV)/uv.txt
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --offline \
	    --no-deps --no-build-isolation $(EDITABLE)
	@touch $@
