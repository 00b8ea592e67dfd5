# Which releases: the pinned ones (constraints.txt, .venv), or the newest or the lowest that pyproject.toml allows, each
# in an environment of its own (.venv-newest, .venv-lowest).
set ?= pinned
# Candidates for the interpreter, the first that fits is taken. Give one name to choose: PYTHON=python3.12
newer_first := python3.13 python3.12 python3.11 python3
older_first := python3.11 python3.12 python3.13 python3
PYTHON ?= $(if $(filter lowest,$(set)),$(older_first),$(newer_first))
# Passed on to pytest: ARGS='-k delora'
ARGS ?=
# The model whose recorded verdicts `make claims` judges, whose recipes `make search` chooses, and whose claims
# `make falsify` spoils.
MODEL ?= smollm2-135m
# The models of which verdicts are recorded.
RECORDED := smollm2-135m qwen2.5-coder-0.5b
# Minutes for building some of the evidence again after claims were judged by it; 0 for none.
AUDIT ?= 10
# A package index to take torch from; a build named there (2.14.1+cpu) is preferred to the plain 2.14.1.
TORCH_INDEX ?=

venv := .venv$(addprefix -,$(filter-out pinned,$(set)))
bin := $(venv)/bin
installed := $(venv)/installed
# What pip must keep to, in the build of our own package too.
versions_pinned := constraints.txt
versions_newest :=
versions_lowest := $(venv)/versions.txt
versions := $(versions_$(set))
# The extras have ranges too.
package := $(if $(filter pinned,$(set)),.,'.[hub,figures]')
pip := $(bin)/python -m pip install $(if $(CI),--quiet --quiet) $(addprefix --constraint ,$(versions))
pytest := $(bin)/python -m pytest
docs_pip := .venv-docs/bin/python -m pip install $(if $(CI),--quiet --quiet) --constraint constraints.txt
# It tells of its successor at every build.
mkdocs := NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help claims test unit smoke plugin newest lowest lint table docs docs-serve search survey mutants calibrate falsify bench browser readers cluster fuzz torture clean

help: ## list the targets (also: plain `make`)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  ARGS='-k delora' goes on to pytest; PYTHON=python3.12 chooses the interpreter; TORCH_INDEX=URL the"
	@echo "  index of torch, such as https://download.pytorch.org/whl/cpu. The last two count when .venv is made."
	@echo "  MODEL=qwen2.5-coder-0.5b: another model than the embedded one for claims, falsify, search and table."
	@echo "  set=newest or set=lowest runs any target with those releases: make set=newest claims."

claims: $(installed) ## judge what is recorded of a model, and audit its evidence; AUDIT=0 leaves that out
	$(pytest) claims/ --model $(MODEL) --recorded --audit $(AUDIT) $(ARGS)

test: unit smoke ## the project's own tests: unit, then smoke

unit: $(installed) ## tests of the library, in seconds
	OMP_NUM_THREADS=1 $(pytest) ws/tests -n 2 $(ARGS)

smoke: $(installed) ## every claim's whole path, on a tiny random model
	OMP_NUM_THREADS=1 $(pytest) --smoke -n 2 --dist loadfile $(ARGS)

plugin: $(installed) ## the installed package and its pytest plugin in a repository of somebody else
	$(pytest) ws/tests/installed.py $(ARGS)

torture: $(installed) ## kill builds, damage files, take the power away: is anything lost, half, twice or wrong?
	OMP_NUM_THREADS=1 $(bin)/python -m ws.tests.torture $(ARGS)

browser: $(installed) ## the report in Chromium: filters, links, a phone, paper, axe; needs a chromium on the PATH
	$(pip) --group browser
	OMP_NUM_THREADS=1 $(pytest) ws/tests/test_html_browser.py $(ARGS)

readers: $(installed) ## what Inspect and lm-evaluation-harness read of our exports, from .venv-readers
	$(bin)/python -m venv .venv-readers
	.venv-readers/bin/python -m pip install $(if $(CI),--quiet --quiet) --group readers
	OMP_NUM_THREADS=1 $(pytest) ws/tests/test_results_exports.py $(ARGS)

cluster: $(installed) ## builds on a Ray cluster of two machines, one of which is killed; minutes
	$(pip) --editable '.[ray]'
	OMP_NUM_THREADS=1 $(pytest) ws/tests/test_on_ray.py $(ARGS)

fuzz: $(installed) ## try every reader of strangers' files with files that are nearly right; ARGS='rows gguf --minutes 20'
	$(pip) --group fuzz
	OMP_NUM_THREADS=1 $(bin)/python .ci/fuzz.py $(ARGS)

# What is newest changes from day to day, so pip looks again each time.
newest: ## the project's own tests with the newest releases that pyproject.toml allows, in .venv-newest
	rm -f .venv-newest/installed
	+$(MAKE) --no-print-directory set=newest test

lowest: ## the same with the lowest that it allows and the oldest Python that is here, in .venv-lowest
	+$(MAKE) --no-print-directory set=lowest test

lint: $(installed) ## check style and layout with ruff, and types with mypy
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy

table: $(installed) ## write the recorded verdicts into docs/verdicts, a picture of C05, and some into README.md
	$(bin)/ws table --models $(RECORDED) --pages docs/verdicts
	$(bin)/ws results --write docs/results.md
	$(bin)/ws table --models $(MODEL) --claims C05 --picture docs/pictures/c05.svg
	$(bin)/ws table --models $(MODEL) --claims C02 C05 C08 C14 C23 --form counts --write README.md

docs: .venv-docs/installed ## build the documents into site/, warnings as errors
	$(mkdocs) build --strict

docs-serve: .venv-docs/installed ## show them on this machine, anew whenever a page changes
	$(mkdocs) serve

search: $(installed) ## choose the training recipe of each adapter family on validation data
	$(bin)/ws search $(MODEL)

survey: $(installed) ## every causal architecture of transformers and every adapter of PEFT, built tiny, against ours
	$(bin)/python -m ws.bench.survey $(ARGS)
	$(bin)/python -m ws.bench.survey.adapters

mutants: $(installed) ## break the code in one place at a time: which tests notice? ARGS=stats/sweep, or --smoke
	$(bin)/python .ci/mutants.py $(ARGS)

calibrate: $(installed) ## judge simulated claims whose truth is known: how often is a verdict wrong? ARGS=--quick
	$(bin)/ws calibrate $(ARGS)

falsify: $(installed) ## judge every claim on spoilt evidence: which cases notice? MODEL=tiny-random-qwen3
	$(bin)/ws falsify --model $(MODEL) --recorded $(ARGS)

bench: $(installed) ## measure speed and memory against the plain way; 40 minutes, on a quiet machine
	$(bin)/ws bench $(ARGS)
	$(bin)/ws bench --write docs/speed.md

clean: ## remove environments and caches, never the store of trained adapters
	rm -rf .venv .venv-newest .venv-lowest .venv-docs .venv-readers site .pytest_cache .mypy_cache .ruff_cache .hypothesis __pycache__
	find ws fixtures claims -type d -name __pycache__ -prune -exec rm -rf {} +

$(installed): pyproject.toml $(versions) | $(bin)/python
	@echo "installing the $(set) packages into $(venv): about 1.6 GB with a CPU build of torch, 2 to 10 minutes"
	$(pip) --upgrade pip
	$(pip) $(if $(filter newest,$(set)),--upgrade --upgrade-strategy eager) \
	  $(addprefix --build-constraint ,$(versions)) $(addprefix --extra-index-url ,$(TORCH_INDEX)) \
	  --group dev --editable $(package)
	@touch $@

# What builds the documents reads our code and does not import it, so it needs nothing of ours.
.venv-docs/installed: pyproject.toml constraints.txt | $(bin)/python
	$(bin)/python -m venv --clear .venv-docs
	$(docs_pip) --upgrade pip
	$(docs_pip) --group docs
	@touch $@

.venv-lowest/versions.txt: pyproject.toml .ci/lowest.py | $(bin)/python
	$(bin)/python .ci/lowest.py pyproject.toml > $@

fits := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
$(bin)/python:
	@seen=; \
	for name in $(PYTHON); do \
	  if "$$name" -c '$(fits)' 2>/dev/null; then \
	    echo "creating $(venv) with $$("$$name" --version) ($$name)"; \
	    exec "$$name" -m venv --clear $(venv); \
	  fi; \
	  seen="$$seen  $$name: $$("$$name" --version 2>&1 | head -n 1)\n"; \
	done; \
	printf 'saw\n%b' "$$seen" >&2; \
	echo "but $(venv) needs Python 3.11 or newer with its venv and ensurepip modules: install one" \
	  "(on Debian and Ubuntu: python3 and python3-venv), or name one: make PYTHON=/path/to/python3" >&2; \
	exit 1
