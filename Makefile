PYTHON ?= python3
VENV ?= .venv
SIZE ?= 320x200
BROWSER ?= chromium
INSTALL = $(VENV)/bin/python -m pip install --quiet $(addprefix -c ,$(wildcard constraints.txt))
# The tree at hand runs, whatever the environment has installed.
export PYTHONPATH := $(CURDIR)/src
export BROWSER
# Tests of whole services, of the page, of S3 and of torch, and those that take much time for examples. What these leave of
# PostgreSQL takes a quarter of the time, and says on a second database what SQLite has said.
SLOW = $(addprefix tests/,acceptance benchmarks blobs cli clients engine fleet training web \
  api/test_openapi.py api/v1/test_tenants.py api/fal/input/test_parse.py api/fal/input_images \
  store/migrations store/postgres store/state_machines store/turns)
PYTEST = $(VENV)/bin/python -m pytest --numprocesses auto --dist loadgroup --no-loadscope-reorder
.DELETE_ON_ERROR:
.PHONY: help demo serve test all-tests test-fast check bench docs vendor screenshots train train-edit clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.engine ## Start the service, generate images into demo-output/, stop (SIZE=3200x2000; KEEP=1 runs until Ctrl-C)
	$(VENV)/bin/python examples/demo.py --size $(SIZE) $(if $(KEEP),--keep)

serve: $(VENV)/.engine ## Run the service until Ctrl-C (ARGS="--model z-image-turbo" for a real model)
	$(VENV)/bin/python -m pipelet serve $(ARGS)

test: $(VENV)/.dev ## Check, and run all tests at the same time (ARGS="tests/cli -x" for some; BROWSER= for none in browsers)
	@$(VENV)/bin/python -m tests.support.browsers
	@$(MAKE) --no-print-directory --jobs 2 check all-tests

all-tests: $(VENV)/.dev
	$(PYTEST) $(ARGS)

test-fast: BROWSER =
test-fast: $(VENV)/.dev ## Run, in a minute, the tests that need no server, no whole service, no browser, no torch and not much time
	$(PYTEST) $(addprefix --ignore=,$(SLOW)) -k 'not postgresql and not keda' $(ARGS)

check: $(VENV)/.dev ## Lint, formatting, types, and who may import whom
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy && $(VENV)/bin/lint-imports

bench: $(VENV)/.dev ## Measure, and print tables
	$(VENV)/bin/python -m benchmarks $(ARGS)

docs: $(VENV)/.dev ## Rewrite the parts of docs/ that are made from the code
	$(VENV)/bin/python -m tests.docs.reference

screenshots: $(VENV)/.dev ## Take screenshots of all screens of the page, into contact-sheets/page
	$(VENV)/bin/python -m tests.web.screenshots contact-sheets/page

vendor: $(VENV)/.dev ## Bundle the libraries of the page again, after a change of vendor/package.json
	$(VENV)/bin/python vendor/build.py

train: $(VENV)/.engine ## Train the demo model, into training-run/demo (docs/models/training.md)
	$(VENV)/bin/python -m training all training-run/demo $(ARGS)

train-edit: $(VENV)/.engine ## Train the edit model in the background of everything else, into training-run/edit
	OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} \
	  nice -n 19 $(VENV)/bin/python -m training.edit all training-run/edit $(ARGS)

clean: ## Remove what the other verbs made; your data in .pipelet/ and training-run/ stays
	rm -rf .venv demo-output contact-sheets build dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Pipelet needs Python 3.11 or newer, and $(PYTHON) is: $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.engine: pyproject.toml $(wildcard constraints.txt) | $(VENV)/bin/python
	@echo "Installing Pipelet and its engine into $(VENV); torch is large, so the first time takes some minutes."
	$(INSTALL) -e '.[engine]'
	@touch $@

$(VENV)/.dev: pyproject.toml $(wildcard constraints.txt) | $(VENV)/bin/python
	@echo "Installing Pipelet, its engine and the tools into $(VENV); torch is large, so the first time takes some minutes."
	$(INSTALL) -e '.[engine,dev]'
	@touch $@ $(VENV)/.engine
