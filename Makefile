# adaptwin: every target sets up .venv by itself, with nothing but python3.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready
SITE_READY := $(VENV)/.site
LIVE := .venv-live
LIVE_READY := $(LIVE)/.ready
OLDER := .vllm-0.19.1
OLDER_READY := $(OLDER)/.ready
LITELLM := .venv-litellm
LITELLM_READY := $(LITELLM)/.ready
STACKS := .venv-stacks
STACKS_READY := $(STACKS)/.ready
WEB := .venv-web
WEB_READY := $(WEB)/.ready
PROMETHEUS := .prometheus
PROMETHEUS_READY := $(PROMETHEUS)/.ready
GPU := .gpu
GPU_PYTHON ?= python3.12
GPU_VENV := .venv-gpu
GPU_READY := $(GPU_VENV)/.ready
FLEET := examples/fleet.yaml
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-live test-web report-pictures web-pictures chromium live web-load check format console reference docs bench prefixes placement accuracy step-law surrogates profiles hardware paper watched-day \
	gpu-pack gpu-rehearse clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# What planning needs, and nothing else.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "Installing adaptwin into $(VENV) (600 MB; half a minute and the download) ..."
	$(PIP_INSTALL) -e .
	@touch $(INSTALLED)

# What the other targets need as well: tests, linters, the type checker, and what `fit`, `train` and Ray need.
$(READY): $(INSTALLED)
	$(PIP_INSTALL) -e '.[dev]'
	@touch $(READY)

demo: $(INSTALLED) ## plan the example fleet: a table here, plan and report in demo/
	@mkdir -p demo
	$(BIN)/adaptwin plan $(FLEET) --out demo/plan.yaml --report demo/plan.html
	$(BIN)/adaptwin export demo/plan.yaml --to vllm --out demo/serve.sh
	@echo "Open demo/plan.html in a browser; demo/serve.sh starts the servers."

test: check ## everything that must hold: checks, then all tests
	$(BIN)/pytest -n 2 --dist worksteal

test-long: $(READY) ## all tests with all random examples, and slow ones: machine code, Ray, damaged files, interrupts
	ADAPTWIN_TESTS=long $(BIN)/pytest -n 2 --dist worksteal
	ADAPTWIN_TESTS=long $(BIN)/pytest tests/long

test-live: $(LIVE_READY) $(OLDER_READY) $(LITELLM_READY) $(PROMETHEUS_READY) $(STACKS_READY) $(READY) ## the twin against vLLM's own scheduler, and real servers (installs vLLM for the CPU, LiteLLM, Ray and Prometheus, 5 GB)
	$(LIVE)/bin/pytest tests/vllm
	PYTHONPATH=$(OLDER) $(LIVE)/bin/pytest tests/vllm_older
	$(STACKS)/bin/pytest tests/export/test_ray_serve.py
	$(BIN)/pytest tests/vllm_server

test-web: chromium $(WEB_READY) ## reports and the web page in Debian's Chromium, and its API under random requests (15 minutes)
	$(WEB)/bin/pytest tests/browser

report-pictures: chromium $(WEB_READY) ## plan the example fleet, and take the pictures of its report in docs/images
	$(WEB)/bin/python making/report_pictures.py

web-load: $(READY) ## the web page under 50 users who plan at once; writes docs/measured/web.md (10 minutes)
	$(BIN)/python benchmarks/web_load.py

web-pictures: chromium $(WEB_READY) ## plan on the web page, and take its pictures in docs/images
	$(WEB)/bin/python making/web_pictures.py

chromium:
	@command -v chromium >/dev/null || { echo "Chromium is missing; on Debian: apt-get install chromium"; exit 1; }

live: $(LIVE_READY) $(READY) ## measure, fit and replay real vLLM servers on the CPU; writes docs/measured/live.md (20 minutes)
	$(BIN)/python benchmarks/live.py

watched-day: $(READY) ## a day of traffic under watch, against one plan, a schedule, and a new plan each hour; writes docs/measured/watch.md (one hour)
	$(BIN)/python benchmarks/watched_day.py --again

$(LIVE_READY): pyproject.toml tests/vllm/requirements.txt
	$(PYTHON) -m venv $(LIVE)
	@echo '*' > $(LIVE)/.gitignore
	$(LIVE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/vllm/requirements.txt
	$(LIVE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	$(LIVE)/bin/python -m compileall -q $(LIVE)/lib >/dev/null || true
	@touch $(LIVE_READY)

$(OLDER_READY): $(LIVE_READY) tests/vllm_older/requirements.txt
	$(LIVE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(OLDER) -r tests/vllm_older/requirements.txt
	@echo '*' > $(OLDER)/.gitignore
	@touch $(OLDER_READY)

$(LITELLM_READY): tests/vllm_server/requirements-litellm.txt
	$(PYTHON) -m venv $(LITELLM)
	@echo '*' > $(LITELLM)/.gitignore
	$(LITELLM)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/vllm_server/requirements-litellm.txt
	@touch $(LITELLM_READY)

$(STACKS_READY): pyproject.toml tests/export/requirements-stacks.txt
	$(PYTHON) -m venv $(STACKS)
	@echo '*' > $(STACKS)/.gitignore
	$(STACKS)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/export/requirements-stacks.txt -e .
	@touch $(STACKS_READY)

$(WEB_READY): pyproject.toml constraints.txt tests/browser/requirements.txt
	$(PYTHON) -m venv $(WEB)
	@echo '*' > $(WEB)/.gitignore
	$(WEB)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r tests/browser/requirements.txt -e '.[dev]'
	@touch $(WEB_READY)

$(PROMETHEUS_READY):
	mkdir -p $(PROMETHEUS)
	@echo '*' > $(PROMETHEUS)/.gitignore
	cd $(PROMETHEUS) && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb .
	@touch $(PROMETHEUS_READY)

check: $(READY) ## formatting, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## format the code and sort its imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --select I .

console: $(READY) ## run the commands that the pages show; writes their output into the pages
	$(BIN)/python making/console.py

bench: $(READY) ## measure the speed of the twin; writes docs/measured/speed.md
	$(BIN)/python benchmarks/speed.py

prefixes: $(READY) ## prefix caching: real runs with cached prompts, hit rates, plans and speed; writes docs/measured/prefixes.md (two minutes)
	$(BIN)/python benchmarks/prefixes.py

placement: $(READY) ## compare the placement strategies; writes docs/measured/placement.md (an hour and a half)
	$(BIN)/python benchmarks/placement.py

paper: $(READY) ## compare with the paper's claims on the same runs; writes docs/paper.md (ten minutes; needs the measurements)
	$(BIN)/python benchmarks/paper.py

memory: $(READY) ## compare the memory law with start-up logs; writes docs/measured/memory.md (needs the measurements)
	PYTHONPATH=making $(BIN)/python benchmarks/memory_law.py

accuracy: $(READY) ## compare the twin with real runs; writes docs/measured/accuracy.md (needs the measurements)
	$(BIN)/python benchmarks/accuracy.py

step-law: $(READY) ## compare the form of the step cost with kernel tables; writes docs/measured/step-law.md (needs them)
	$(BIN)/python benchmarks/step_law.py

hardware: $(READY) ## compare derived profiles with real servers; writes docs/measured/hardware.md (needs the measurements)
	PYTHONPATH=making $(BIN)/python benchmarks/hardware.py

surrogates: $(READY) ## train the shipped surrogates anew; writes docs/measured/surrogate.md (half an hour)
	PYTHONPATH=benchmarks $(BIN)/python making/surrogates.py

profiles: $(READY) ## refit the shipped profiles (needs the measurements)
	PYTHONPATH=benchmarks $(BIN)/python making/profiles.py

gpu-pack: ## pack what measures vLLM on a GPU machine without network, into .gpu (4 minutes)
	PYTHON=$(PYTHON) tools/gpu/pack.sh $(GPU)

gpu-rehearse: $(GPU_READY) $(READY) gpu-pack ## play that measurement without a GPU, and fit it (6 minutes; Python 3.12, 5 GB)
	rm -rf $(GPU)/rehearsal
	PYTHON=$(abspath $(GPU_VENV))/bin/python OUT=$(GPU)/rehearsal GPUKIT_STATE=$(GPU)/rehearsal/state \
		GPUKIT_EXTRA=--rehearse $(GPU)/part1/on_gpu.sh 300
	$(BIN)/python tools/gpu/law.py $(GPU)/rehearsal/events.jsonl
	$(BIN)/adaptwin fit $(GPU)/rehearsal/state/folders/llama-3.1-8b --out $(GPU)/rehearsal/profile.yaml

$(GPU_READY): tools/gpu/machine.txt
	$(GPU_PYTHON) -m venv $(GPU_VENV)
	@echo '*' > $(GPU_VENV)/.gitignore
	$(GPU_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r tools/gpu/machine.txt
	@touch $(GPU_READY)

reference: $(READY) ## write the command line, files and Python pages of docs/reference from the code
	PYTHONPATH=benchmarks $(BIN)/python making/reference.py

docs: $(SITE_READY) ## build the documentation site into site/; a warning or a broken link is an error
	$(BIN)/python making/documentation_site.py

$(SITE_READY): $(INSTALLED)
	$(PIP_INSTALL) -e '.[docs]'
	@touch $(SITE_READY)

clean: ## remove what the targets made
	rm -rf $(VENV) $(LIVE) $(OLDER) $(LITELLM) $(STACKS) $(WEB) $(PROMETHEUS) $(GPU_VENV) $(GPU) demo site benchmarks/results making/results .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
