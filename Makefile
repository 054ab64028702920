# make demo    environment and wizard on the built-in demo
# make test    environment and all tests that can run here: those of `make cover`, then the rest
# make check   environment, lint and types
# make cover   the fast tests of core, runs and data, under coverage: each must have 90 % of its lines and branches
# make docs    the pages under docs/ and the API reference from docstrings, into site/
# make pictures  the pictures of README and docs, painted from the running program
# make format  ruff's formatter and the safe mends
# make apart   exported files against Axolotl's, LLaMA-Factory's and SkyPilot's own parsers, and adapters served to
#              the openai client; trackers' local stores read by their own readers: slow, needs the network
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo test rest check format cover docs pictures apart env clean

demo: env
	@$(BIN)/loratui --demo

COVERED := tests/core tests/runs tests/data
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --dist loadgroup

# What coverage measures runs once, and the rest even where the floor is missed.
test: env
	@$(MAKE) --no-print-directory --keep-going cover rest

# What fails beside others is run once more, alone, and named. Tests of screens wait for half of their time,
# so that four processes keep two cores busy.
rest: env
	@rm -f .pytest_cache/v/cache/lastfailed
	$(PYTEST) -n 4 tests $(COVERED:%=--ignore=%) || { test $$? -eq 1 && $(BIN)/python scripts/once_more.py; }

check: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

cover: env
	$(PYTEST) -n 3 $(COVERED) --cov --cov-report=
	@for floor in core runs data; do echo "Coverage of $$floor, lines and branches:"; \
	  $(BIN)/coverage report --include="*/loratui/$$floor/*" --fail-under=90 || missed="$$missed $$floor"; done; \
	  test -z "$$missed" || { echo "below 90 %:$$missed"; exit 1; }

# The pages' tools stay out of the environment of the program.
docs:
	@$(PYTHON) -m venv .venv-docs
	@.venv-docs/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	@.venv-docs/bin/python -m pip install --quiet --group docs
	.venv-docs/bin/mkdocs build --strict

pictures: env
	$(BIN)/python scripts/make_words_page.py
	$(BIN)/python scripts/pictures/paint.py

# These tools pin versions of their own: they are installed without them, into an environment that sees ours behind it.
apart: env
	@$(PYTHON) -m venv .venv-apart
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(.venv-apart/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beside.pth"
	@.venv-apart/bin/python -m pip install --quiet --no-deps axolotl llamafactory omegaconf antlr4-python3-runtime==4.9.3
	@.venv-apart/bin/python -m pip install --quiet fastapi uvicorn openai lm-eval
	OMP_NUM_THREADS=1 PYTHONPATH=src .venv-apart/bin/python -m pytest tests/export/test_schemas.py tests/export/test_serving.py tests/worker/test_benchmarks.py
	@$(PYTHON) -m venv .venv-trackers
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(.venv-trackers/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beside.pth"
	@.venv-trackers/bin/python -m pip install --quiet tensorboard wandb trackio mlflow
	OMP_NUM_THREADS=1 PYTHONPATH=src .venv-trackers/bin/python -m pytest tests/trackers
	@$(PYTHON) -m venv .venv-sky
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(.venv-sky/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beside.pth"
	@.venv-sky/bin/python -m pip install --quiet --ignore-installed skypilot
	OMP_NUM_THREADS=1 PYTHONPATH=src .venv-sky/bin/python -m pytest tests/export/test_skypilot.py -k parser

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
	rm -rf $(VENV) .venv-apart .venv-trackers .venv-sky .venv-docs site
