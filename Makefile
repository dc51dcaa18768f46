# One command each: every target sets up .venv first if it has to. `make help` lists them.

PROFILE ?= smoke
ONLY ?=
PORT ?= 8000
# a folder that `make wheels` filled: the set-up takes every package from it and asks no index
WHEELS ?=
# the first interpreter that runs and is 3.11 or 3.12 (a pyenv shim may be on the PATH and still not run)
PYTHON ?= $(shell for p in python3.11 python3.12 python3 python; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
# --no-deps: the lock is complete, and solo-learn must come without its pins of 2021
INSTALL = $(BIN)/python -m pip install --quiet --no-deps $(if $(WHEELS),--no-index --find-links '$(WHEELS)')

.DEFAULT_GOAL := $(if $(WHEELS),setup,help)
.PHONY: help setup book test lint serve wheels clean lock

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16
	@echo "Options: PROFILE=$(PROFILE) (also: cpu)  ONLY=01_tour  PYTHON=python3.11  PORT=$(PORT)  WHEELS=folder"
	@echo "INFLUENCE_DATA=folder in the environment names the folder of real image sets."

setup: $(VENV)/.installed  ## set up .venv and do nothing else

book: $(VENV)/.installed  ## execute the chapters that changed and render the book into _build/html
	@$(BIN)/python -m influence_lib book --profile '$(PROFILE)' $(if $(ONLY),--only '$(ONLY)')

test: $(VENV)/.installed  ## run all tests, on up to four cores
	$(BIN)/python -m pytest -n auto --maxprocesses 4

lint: $(VENV)/.installed  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

serve: $(VENV)/.installed  ## show the rendered book on this machine
	$(BIN)/python -m http.server --directory _build/html --bind 127.0.0.1 $(PORT)

wheels: $(BIN)/python  ## fill WHEELS (default: wheels/) with what a machine like this one needs to set up without a network
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir '$(or $(WHEELS),wheels)' -r requirements.lock

clean:  ## remove the rendered book and the executed notebooks (results and .venv stay)
	rm -rf _build book/_executed

lock:  ## regenerate requirements.lock from pyproject.toml (needs uv on the PATH)
	uv pip compile --universal --python-version 3.11 --extra dev --group solo-learn --no-annotate --no-header \
	  pyproject.toml -o requirements.lock

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or 3.12 found; name one with make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/python
	$(INSTALL) -r requirements.lock
	$(INSTALL) --no-build-isolation -e .
	touch $@
