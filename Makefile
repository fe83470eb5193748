# Every target sets up .venv first, pinned by constraints.txt; a second run reuses it.
PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BUILD := $(CURDIR)/build

export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help demo test lint format examples clients splits versions conformance tables docs bench table-bench release clean

help:  ## Show the targets.
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 14

$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python: expected 3.11 or later, got %d.%d" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the frameworks into .venv (a few minutes, once) ..."
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(READY)  ## Train one loss in PyTorch, Keras and JAX on real data; table and PNG in build/.
	@mkdir -p $(BUILD)
	$(BIN)/python examples/one_loss_four_frameworks.py $(ARGS)

# The suite runs from outside the checkout against the built wheel, Keras's part once a backend.
SITE := $(BUILD)/site
PYTEST = cd $(BUILD)/elsewhere && PYTHONPATH=$(SITE) OMP_NUM_THREADS=1 $(BIN)/python -m pytest \
	-c $(CURDIR)/pyproject.toml --rootdir $(CURDIR) -p no:cacheprovider -q
TOGETHER = $(MAKE) --no-print-directory --jobs 2 \
	$(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

test: $(READY)  ## Build the wheel, install it elsewhere, run the tests against it.
	@rm -rf $(BUILD)/wheel $(SITE) && mkdir -p $(BUILD)/elsewhere
	$(BIN)/python -m build --wheel --no-isolation --outdir $(BUILD)/wheel . > $(BUILD)/wheel.log
	$(BIN)/python -m pip install --quiet --no-deps --target $(SITE) $(BUILD)/wheel/*.whl
	cd $(BUILD)/elsewhere && PYTHONPATH=$(SITE) $(BIN)/python -c \
		'import l2core, l2torch; assert all(m.__file__.startswith("$(SITE)") for m in (l2core, l2torch))'
	$(PYTEST) -n 2 --dist worksteal -m 'not scripts and not long and not docs' $(CURDIR)/tests
	@$(TOGETHER) test-keras-on-jax test-keras-on-torch
	@echo "Tests passed."

test-keras-on-%:
	export KERAS_BACKEND=$*; $(PYTEST) $(CURDIR)/tests/keras $(CURDIR)/tests/*.py \
		-m 'not scripts and not long and not docs' -k 'keras and not imports and not readme and not deleted'

lint: $(READY)  ## Ruff, mypy, pyright, import-linter.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-cache

format: $(READY)  ## Format and fix what can be fixed.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

TESTED = example-builtin_traps example-one_loss_four_frameworks

examples: $(READY)  ## Run every example, and the tests that run scripts of ours.
	$(BIN)/python -m pytest -q -p no:cacheprovider -n 2 -m 'scripts or long' tests
	@$(TOGETHER) $(filter-out $(TESTED),$(patsubst examples/%.py,example-%,$(wildcard examples/*.py)))

example-%:
	@echo "== examples/$*.py"
	@$(BIN)/python examples/$*.py

# Other people's tools want versions of their own.
CLIENTS := $(CURDIR)/.venv-clients
CLIENTS_READY := $(CLIENTS)/.ready
$(CLIENTS_READY): constraints-clients.txt pyproject.toml
	$(PYTHON) -m venv $(CLIENTS)
	@echo "Installing other people's tools into .venv-clients (a few minutes, once) ..."
	PIP_CONSTRAINT=$(CURDIR)/constraints-clients.txt \
		$(CLIENTS)/bin/python -m pip install --quiet --editable '.[clients]'
	@touch $@

clients: $(CLIENTS_READY)  ## Run ours in other people's tools; table in build/ (TABLE=docs/tables/clients.md).
	@mkdir -p $(BUILD)
	OMP_NUM_THREADS=1 $(CLIENTS)/bin/python -m pytest -p no:cacheprovider -q -n 2 --dist loadfile \
		--confcutdir tests/clients tests/clients --table $(or $(TABLE),$(BUILD)/clients.md) $(ARGS)
	@for example in examples/clients/*.py; do echo "== $$example"; \
		OMP_NUM_THREADS=1 $(CLIENTS)/bin/python -W ignore $$example || exit 1; done

splits: $(READY) $(CLIENTS_READY)  ## How far the mean over any split is from the whole; table in docs/tables/splits.md.
	@mkdir -p $(BUILD) && rm -f $(BUILD)/splits.jsonl
	for backend in tensorflow jax torch; do KERAS_BACKEND=$$backend OMP_NUM_THREADS=1 \
		$(BIN)/python -m pytest -q --splits $(BUILD)/splits.jsonl tests/keras || exit 1; done
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --splits $(BUILD)/splits.jsonl tests/jax tests/torch
	OMP_NUM_THREADS=1 $(CLIENTS)/bin/python -m pytest -p no:cacheprovider -q --confcutdir tests/clients \
		--splits $(BUILD)/splits.jsonl tests/clients
	$(BIN)/python tests/support/splits.py $(BUILD)/splits.jsonl \
		| $(BIN)/python docs/ext/made.py "make splits" > docs/tables/splits.md

versions: $(READY)  ## Oldest and newest versions, each in an environment of its own (TABLE=docs/tables/versions.md).
	@mkdir -p $(BUILD)
	$(BIN)/python tests/versions --table $(or $(TABLE),$(BUILD)/versions.md) $(ARGS)

conformance: $(READY)  ## Check every installed backend; report in build/conformance.html.
	@mkdir -p $(BUILD)
	$(BIN)/python -m l2core.conformance --html $(BUILD)/conformance.html $(ARGS)

tables: $(READY)  ## The tables of capabilities and of conformance in docs/tables/.
	@mkdir -p $(BUILD)
	$(BIN)/python tests/capabilities > $(BUILD)/capabilities.md
	$(BIN)/python docs/ext/made.py "python tests/capabilities" \
		< $(BUILD)/capabilities.md > docs/tables/capabilities.md
	$(BIN)/python -m l2core.conformance --markdown $(BUILD)/conformance.md
	$(BIN)/python docs/ext/made.py "make conformance" \
		< $(BUILD)/conformance.md > docs/tables/conformance.md

# Warnings are errors: of code that fails, links that lead nowhere, public names without a place.
SPHINX = $(BIN)/python -m sphinx -q -W --keep-going -d $(BUILD)/docs/doctrees docs
docs: $(READY)  ## Build the documentation in build/docs/html: its code runs, its links are followed.
	@mkdir -p $(BUILD)/docs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -p no:cacheprovider -n 2 tests/test_docs.py
	MPLBACKEND=agg $(SPHINX) -b html $(BUILD)/docs/html
	$(SPHINX) -b coverage $(BUILD)/docs/coverage
	@echo "Open $(BUILD)/docs/html/index.html"

bench: $(READY)  ## Measure ours against the built-ins and the memory floor.
	$(BIN)/python -m benchmarks $(ARGS)

BENCH = $(BUILD)/bench.json
table-bench: $(READY)  ## The tables of docs/speed.md, of what `make bench` found last.
	$(BIN)/python -m benchmarks --from $(BENCH) --markdown > $(BUILD)/bench.md
	$(BIN)/python docs/ext/made.py "make bench" < $(BUILD)/bench.md > docs/tables/bench.md

DIST := $(BUILD)/dist
release: $(READY)  ## The sdist and the wheel, checked; the sdist passes its own tests.
	rm -rf $(DIST) $(BUILD)/sdist && mkdir -p $(BUILD)/sdist
	$(BIN)/python -m build --no-isolation --outdir $(DIST) . > $(BUILD)/dist.log
	$(BIN)/python -m twine check --strict $(DIST)/*
	$(BIN)/check-wheel-contents $(DIST)/*.whl
	tar -xzf $(DIST)/*.tar.gz -C $(BUILD)/sdist
	$(MAKE) -C $(BUILD)/sdist/l2core-* VENV=$(VENV) test

clean:  ## Remove the environment and everything built.
	rm -rf $(VENV) $(CLIENTS) $(BUILD)
