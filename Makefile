# `make verify` and `make test` do all their own set-up; a second run reinstalls nothing.
PYTHON ?= python3
BIN = .venv/bin

verify: .venv/ready
	$(BIN)/faflow verify proofs_check --report report

verify-full: .venv/ready
	$(BIN)/faflow verify proofs_check --full --report report-full

test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal

# Other people's code: biotorch beside the PyTorch of pip's own index, without what else biotorch
# asks for, which its layers do not need.  Where that index has builds for CUDA alone, they serve.
test-foreign: .venv-foreign/ready
	OMP_NUM_THREADS=1 .venv-foreign/bin/python -m pytest tests/test_biotorch.py tests/test_check_step.py

.venv-foreign/ready: pyproject.toml
	$(PYTHON) -m venv .venv-foreign
	.venv-foreign/bin/python -m pip install --quiet torch==2.13.0 --editable ".[test]"
	.venv-foreign/bin/python -m pip install --quiet --no-deps biotorch==0.0.16
	touch .venv-foreign/ready

# Against torchdiffeq, too, in an environment of its own, for an idle machine.
bench: .venv-bench/ready
	.venv-bench/bin/python benchmarks/run.py --to benchmarks/RESULTS.md

.venv-bench/ready: pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet torch==2.13.0 torchdiffeq==0.2.5 --editable ".[all]"
	touch .venv-bench/ready

lint: .venv/ready
	$(BIN)/python -m pip install --quiet "ruff>=0.9" "ty>=0.0.100"
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/ty check --python .venv

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "faflow needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[all]"
	touch .venv/ready

.PHONY: verify verify-full test test-foreign bench lint
.DEFAULT_GOAL := verify
