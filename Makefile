# Candidates for the interpreter of .venv, the first that fits is taken. Give one name to choose: PYTHON=python3.12
PYTHON ?= python3.13 python3.12 python3.11 python3
# Passed on to pytest: ARGS='-k delora'
ARGS ?=
# The model whose recipes `make search` chooses.
MODEL ?= smollm2-135m
# A package index to take torch from; a build named there (2.13.0+cpu) is preferred to the plain 2.13.0.
TORCH_INDEX ?=

bin := .venv/bin
installed := .venv/installed
pip := $(bin)/python -m pip install $(if $(CI),--quiet) --constraint constraints.txt
pytest := $(bin)/python -m pytest

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help claims test unit smoke lint table search bench clean

help: ## list the targets (also: plain `make`)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  ARGS='-k delora' goes on to pytest; PYTHON=python3.12 chooses the interpreter; TORCH_INDEX=URL the"
	@echo "  index of torch, such as https://download.pytorch.org/whl/cpu. The last two count when .venv is made."

claims: $(installed) ## train, measure and judge every claim on the embedded model; ends in the verdict table
	$(pytest) claims/ $(ARGS)

test: unit smoke ## the project's own tests: unit, then smoke

unit: $(installed) ## tests of the library, in seconds
	OMP_NUM_THREADS=1 $(pytest) ws/tests -n 2 $(ARGS)

smoke: $(installed) ## every claim's whole path, on a tiny random model
	$(pytest) --smoke $(ARGS)

lint: $(installed) ## check style and layout with ruff
	$(bin)/ruff check .
	$(bin)/ruff format --check .

table: $(installed) ## write the recorded verdicts into README.md and claims/VERDICTS.md
	$(bin)/ws table --counts --write README.md
	$(bin)/ws table --write claims/VERDICTS.md

search: $(installed) ## choose the training recipe of each adapter family on validation data
	$(bin)/ws search $(MODEL)

bench: $(installed) ## measure speed and memory against the plain way; 40 minutes, on a quiet machine
	$(bin)/ws bench $(ARGS)
	$(bin)/ws bench --write README.md

clean: ## remove .venv and caches, never the store of trained adapters
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis __pycache__
	find ws fixtures claims -type d -name __pycache__ -prune -exec rm -rf {} +

$(installed): pyproject.toml constraints.txt | $(bin)/python
	@echo "installing the pinned packages into .venv: about 1.6 GB with a CPU build of torch, 2 to 10 minutes"
	$(pip) --upgrade pip
	$(pip) --build-constraint constraints.txt $(addprefix --extra-index-url ,$(TORCH_INDEX)) --group dev --editable .
	@touch $@

fits := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
$(bin)/python:
	@seen=; \
	for name in $(PYTHON); do \
	  if "$$name" -c '$(fits)' 2>/dev/null; then \
	    echo "creating .venv with $$("$$name" --version) ($$name)"; \
	    exec "$$name" -m venv --clear .venv; \
	  fi; \
	  seen="$$seen  $$name: $$("$$name" --version 2>&1 | head -n 1)\n"; \
	done; \
	printf 'saw\n%b' "$$seen" >&2; \
	echo "but .venv needs Python 3.11 or newer with its venv and ensurepip modules: install one" \
	  "(on Debian and Ubuntu: python3 and python3-venv), or name one: make PYTHON=/path/to/python3" >&2; \
	exit 1
