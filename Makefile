# `make verify` and `make test` do all their own set-up; a second run reinstalls nothing.
PYTHON ?= python3
BIN = .venv/bin

verify: .venv/ready
	$(BIN)/faflow verify proofs_check --report report

verify-full: .venv/ready
	$(BIN)/faflow verify proofs_check --full --report report-full

test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal

lint: .venv/ready
	$(BIN)/python -m pip install --quiet "ruff>=0.9" "ty>=0.0.100"
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/ty check --python .venv

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "faflow needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[all]"
	touch .venv/ready

.PHONY: verify verify-full test lint
.DEFAULT_GOAL := verify
