# make demo: the whole pipeline on synthetic data. make test: lint, types and tests.
PYTHON ?= python3.10
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: install demo test lint linked types imports unit test-slow docs clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade -c constraints.txt pip setuptools
	$(BIN)/pip install --quiet --progress-bar off -c constraints.txt -e '.[test]'
	touch $@

demo: install
	$(BIN)/ann2sdnn demo --out runs/demo --force

test: lint types imports unit

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy and import-linter do not see editable installs, so they are shown the packages as links.
linked: install
	$(BIN)/python tests/link_packages.py build/typing

types: linked
	$(BIN)/mypy
	$(BIN)/mypy tests

# The order of the rooms, no circles, lava in one room: the contracts of pyproject.toml.
imports: linked
	cd build/typing && PYTHONPATH=. $(CURDIR)/$(BIN)/lint-imports --no-logo \
		--config $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/build/imports

# Two processes of one thread each; tests of a file share what it sets up.
unit: install
	$(BIN)/pytest -m "not slow" -n 2 --dist loadfile

test-slow: install
	$(BIN)/pytest -m slow

# Outputs in the documents, made again by running what they show.
docs: install
	$(BIN)/python tests/update_docs.py

clean:
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache *.egg-info
