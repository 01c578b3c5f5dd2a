# make install: the environment. make demo: the whole pipeline on synthetic data. make test: lint,
# types, import rules and tests. PYTHON names an interpreter: make PYTHON=python3.12 install.
VENV := .venv
BIN := $(VENV)/bin

# The environment's own Python, else 3.10, which has lava, else the newest.
CANDIDATES := $(BIN)/python python3.10 python3.13 python3.12 python3.11 python3
SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in $(CANDIDATES); do \
	"$$python" -c "$(SUPPORTED)" 2>/dev/null && echo "$$python" && break; done)

.PHONY: install demo test lint linked types imports unit test-slow fuzz interrupt licences docs \
	site clean

install:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.10 to 3.13 was found; install one" \
		"(python3.10 has everything), or name it: make PYTHON=/path/to/python3.12 install" >&2; \
		exit 2; }
	@$(PYTHON) tools/install.py $(VENV)

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
	$(BIN)/pytest -m "not slow" -n 2 --dist loadfile -rs

test-slow: install
	$(BIN)/pytest -m slow -rs

# Every parser of files under a coverage-guided fuzzer, SECONDS each.
SECONDS ?= 60
fuzz: install
	$(BIN)/pip install --quiet --only-binary :all: atheris
	$(BIN)/python tests/fuzz/run.py --seconds $(SECONDS)

# Commands killed at random moments, and on full disks.
interrupt: install
	$(BIN)/python benchmarks/interruption.py

# Licences of the packages that ann2sdnn needs.
licences: install
	$(BIN)/python tools/licences.py

# Outputs in the documents, made again by running what they show.
docs: install
	$(BIN)/python tests/update_docs.py

# The documents as web pages in build/site; warnings and dead links are errors.
site: linked
	NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build

clean:
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache *.egg-info
