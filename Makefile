# A virtual environment in .venv makes itself where it is missing; nothing else is
# touched. `make` alone lists what there is.

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

# Else each of the hundreds of processes that tests start compiles the package anew.
unexport PYTHONDONTWRITEBYTECODE

.NOTPARALLEL:
.PHONY: help demo test test-all reliability lint docs settings check format clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/make \1	\2/p' Makefile | expand -t 16

demo: .venv/installed  ## train a small language model on this machine, now
	$(BIN)/slangmod demo

test: .venv/installed-test  ## the tests, but for the slow ones
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-all: .venv/installed-test  ## all tests
	$(BIN)/python -m pytest -m ""

reliability: .venv/installed-test  ## every promise put to the test, and the manual's table of them
	$(BIN)/python benchmarks/reliability.py

lint: .venv/installed-dev  ## format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: .venv/installed-dev  ## the manual, in docs/_build/html
	$(BIN)/sphinx-build -q -W -b html docs docs/_build/html

settings: .venv/installed-dev  ## write what is made from the lines of settings anew
	$(BIN)/slangmod config example > config.example.toml
	$(BIN)/slangmod config schema > slangmod.schema.json
	$(BIN)/python docs/generate.py

check: lint docs test  ## all that a change has to pass

format: .venv/installed-dev  ## mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove the environment and all that was built
	rm -rf .venv build docs/_build *.egg-info .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	@python=$$(.ci/find-python) && echo "making .venv with $$python" \
		&& "$$python" -m venv --clear .venv

.venv/installed: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e .
	@touch $@

.venv/installed-test: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e '.[test]'
	@touch $@

.venv/installed-dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e '.[dev]'
	@touch $@ .venv/installed-test
