PYTHON ?= python3
VENV ?= .venv
SIZE ?= 320x200
INSTALL = $(VENV)/bin/python -m pip install --quiet $(addprefix -c ,$(wildcard constraints.txt))
# The tree at hand runs, whatever the environment has installed.
export PYTHONPATH := $(CURDIR)/src
.DELETE_ON_ERROR:
.PHONY: help demo serve test check bench docs train clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.engine ## Start the service, draw pictures into demo-output/, stop (SIZE=3200x2000 for large ones)
	$(VENV)/bin/python examples/demo.py --size $(SIZE)

serve: $(VENV)/.engine ## Run the service until Ctrl-C (ARGS="--model z-image-turbo" for real pictures)
	$(VENV)/bin/python -m pipelet serve $(ARGS)

test: check ## Check, then run all tests (ARGS="tests/cli -x" for some)
	$(VENV)/bin/python -m pytest --numprocesses auto --dist loadfile $(ARGS)

check: $(VENV)/.dev ## Lint, formatting, types, and who may import whom
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy && $(VENV)/bin/lint-imports

bench: $(VENV)/.dev ## Measure, and print tables
	$(VENV)/bin/python -m benchmarks $(ARGS)

docs: $(VENV)/.dev ## Rewrite the parts of docs/ that are made from the code
	$(VENV)/bin/python -m tests.docs.reference

train: $(VENV)/.engine ## Train the model in the box, into training-run/box (docs/training.md)
	$(VENV)/bin/python -m training all training-run/box $(ARGS)

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
