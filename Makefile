PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install ci-packages demo lint test test-all config wheel clean

install: $(VENV)/installed

# DEMO="--seed 2 --open" gives another patient, and opens the report.
demo: install
	$(BIN)/nen-imaging demo $(DEMO)

# Plain torch from constraints.txt: the CPU build where the index or the platform offers one.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed -c constraints.txt -e '.[dev]'
	touch $@

# A real PACS for the tests of `fetch`, which are skipped without it. Nothing happens without root or where apt does not answer.
ci-packages:
	@command -v Orthanc >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
	  { timeout 120 apt-get update -qq && DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y -qq \
	    --no-install-recommends orthanc orthanc-dicomweb; } || echo "ci-packages: apt does not answer; going on without Orthanc"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile
	HOME=$(CURDIR)/.venv/home $(BIN)/snakemake --lint --cores 1

test: lint
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow"

test-all: lint
	$(BIN)/pytest -n 2 --dist loadfile

config: install
	$(BIN)/python -c "from pathlib import Path; from nen_imaging.config import write_files; write_files(Path('config'))"

wheel: install
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
