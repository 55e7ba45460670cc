# Two commands do it all: `make demo` installs and runs the main job, `make test` installs and passes the tests.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= demo-out
export OMP_WAIT_POLICY := PASSIVE

.PHONY: demo test quick lint types layers style unit bench clean install dev

demo: install
	$(BIN)/marketprism run --out $(OUT)
	@echo "Open $(OUT)/report.html in a browser."

test: dev lint types layers style unit

install: $(VENV)/.base
dev: $(VENV)/.dev

$(VENV)/.base: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("MarketPrism needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": call make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	$(BIN)/marketprism doctor  # also compiles the kernels, once
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: dev
	$(BIN)/mypy

layers: dev
	$(BIN)/lint-imports

style: dev
	$(BIN)/python scripts/check_style.py

unit: dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

quick: dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow" $(PYTEST_ARGS)

bench: dev
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) demo-out .pytest_cache .mypy_cache .ruff_cache .coverage*
