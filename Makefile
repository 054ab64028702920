# make demo    environment and wizard on the built-in demo
# make test    environment and all tests that can run here
# make check   environment, lint and types
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo test check env clean

demo: env
	@$(BIN)/loratui --demo

test: env
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup

check: env
	$(BIN)/ruff check src tests scripts benchmarks
	$(BIN)/mypy

env: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "loratui needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python cannot make an environment here. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing loratui and what it needs into $(VENV); PyTorch is large, so this takes some minutes."
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

clean:
	rm -rf $(VENV)
