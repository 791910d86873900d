# Every check by its name; CI runs the same names. Each target builds what it needs, and nothing twice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
KUBECONFIG_UNDER_TEST ?=
NAMESPACE_UNDER_TEST ?= default
CLUSTER_STATE ?=
CLUSTER_START ?=
ARGS ?=

.PHONY: help demo lab test test-browser test-cluster test-stop test-stress test-disruptive lint types imports coverage bench clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# A stamp is as old as the last installation; an edited pyproject.toml makes it happen again.
$(VENV)/installed-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@

demo: $(VENV)/installed-lab $(VENV)/installed-sandbox ## run notebooks/quickstart.ipynb on the sandbox and show the transcript
	$(BIN)/python notebooks/demo.py

lab: $(VENV)/installed-lab $(VENV)/installed-sandbox ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

test: $(VENV)/installed-dev ## the test suite, on the sandbox
	$(BIN)/python -m pytest -n 3 $(ARGS)

test-browser: $(VENV)/installed-dev ## JupyterLab in a headless Chromium; ARGS=--pictures renews the README's
	$(BIN)/python -m pytest -m browser $(ARGS)

test-cluster: $(VENV)/installed-dev ## the client's tests on a real cluster: KUBECONFIG_UNDER_TEST=FILE [NAMESPACE_UNDER_TEST=NS]
	$(BIN)/python -m pytest -m cluster --kubeconfig='$(KUBECONFIG_UNDER_TEST)' --namespace='$(NAMESPACE_UNDER_TEST)' $(ARGS)

test-stop: $(VENV)/installed-dev ## every way of stopping everything that is hard to stop, on the sandbox or KUBECONFIG_UNDER_TEST=FILE
	$(BIN)/python -m pytest tests -m stop -n 3 --dist worksteal --kubeconfig='$(KUBECONFIG_UNDER_TEST)' --namespace='$(NAMESPACE_UNDER_TEST)' $(ARGS)

test-stress: $(VENV)/installed-dev ## 3,000 runs, and floods: KUBECONFIG_UNDER_TEST=FILE
	$(BIN)/python -m pytest tests -m stress --kubeconfig='$(KUBECONFIG_UNDER_TEST)' --namespace='$(NAMESPACE_UNDER_TEST)' $(ARGS)

test-disruptive: $(VENV)/installed-dev ## what needs the cluster's own files, and kills its servers: KUBECONFIG_UNDER_TEST=FILE CLUSTER_STATE=FOLDER CLUSTER_START=COMMAND
	$(BIN)/python -m pytest tests -m disruptive --kubeconfig='$(KUBECONFIG_UNDER_TEST)' --namespace='$(NAMESPACE_UNDER_TEST)' --cluster-state='$(CLUSTER_STATE)' --cluster-start='$(CLUSTER_START)' $(ARGS)

lint: $(VENV)/installed-dev ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev ## mypy, strict
	$(BIN)/mypy

imports: $(VENV)/installed-dev ## the floors of the design, as import contracts
	$(BIN)/lint-imports

coverage: $(VENV)/installed-dev ## the test suite with coverage; every line of wire/ is covered
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage report --include 'kexec_magic/wire/*' --fail-under 100
	$(BIN)/coverage report

bench: $(VENV)/installed-dev $(VENV)/installed-bench ## the peers and us, side by side: KUBECONFIG_UNDER_TEST=FILE
	$(BIN)/python -m tests.bench --kubeconfig '$(KUBECONFIG_UNDER_TEST)' --namespace '$(NAMESPACE_UNDER_TEST)' $(ARGS)

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage notebooks/executed
