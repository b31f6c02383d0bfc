# `make bench` is the main job, `make test` the tests, `make docs` the documentation's site, `make check` everything a
# change must pass.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
export OMP_NUM_THREADS := 1

# A file's tests run in one worker, as they share fixtures; files keep their order, the long ones first.
PYTEST := $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: bench test check slow chaos executors format docs
.DEFAULT_GOAL := bench

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	touch $@

$(VENV)/installed-executors: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[ray,slurm]"
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group docs
	touch $@

bench: $(VENV)/installed
	$(BIN)/bench run --method all

test: $(VENV)/installed
	$(PYTEST) -m "not slow"

slow: $(VENV)/installed
	$(PYTEST) -m slow

chaos: $(VENV)/installed
	$(BIN)/pytest -q tests/chaos

executors: $(VENV)/installed-executors
	$(BIN)/pytest tests/benchmark/running/executors

# What mkdocs-material says about later versions of MkDocs is not about this site.
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

check: $(VENV)/installed docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -m "not slow"

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
