# make demo | test | test-all | lint | install
# PIP_ARGS passes options to pip, for instance another index:
#   make demo PIP_ARGS="--index-url URL-of-a-CPU-build"

PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP_ARGS ?=
BIN := .venv/bin
INSTALLED := .venv/installed

# Two cores: torch's threads would fight the test processes for them.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: install demo test test-all lint

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "ialp needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt $(PIP_ARGS) --editable ".[dev]"
	@touch $(INSTALLED)

# The main job on the built-in catalogue; finished stages are reused.
demo: install
	env -u IALP_DATA $(BIN)/ialp fit --config configs/lfm_policyset.yaml

test: lint
	$(PYTEST) -m "not slow"

test-all: lint
	$(PYTEST)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
