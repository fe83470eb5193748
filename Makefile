# Every target sets up .venv first, pinned by constraints.txt; a second run reuses it.
PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BUILD := $(CURDIR)/build

export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help demo test lint format examples conformance bench clean

help:  ## Show the targets.
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 14

$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python: expected 3.11 or later, got %d.%d" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the frameworks into .venv (a few minutes, once) ..."
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[dev]'
	@touch $@

demo: $(READY)  ## Train one loss in PyTorch, Keras and JAX on real data; table and PNG in build/.
	@mkdir -p $(BUILD)
	$(BIN)/python examples/one_loss_four_frameworks.py $(ARGS)

# The suite runs from outside the checkout against the built wheel, Keras's part once a backend.
SITE := $(BUILD)/site
PYTEST = cd $(BUILD)/elsewhere && PYTHONPATH=$(SITE) OMP_NUM_THREADS=1 $(BIN)/python -m pytest \
	-c $(CURDIR)/pyproject.toml --rootdir $(CURDIR) -p no:cacheprovider -q -n 2 --dist worksteal

test: $(READY)  ## Build the wheel, install it elsewhere, run the tests against it.
	@rm -rf $(BUILD)/wheel $(SITE) && mkdir -p $(BUILD)/elsewhere
	$(BIN)/python -m build --wheel --no-isolation --outdir $(BUILD)/wheel . > $(BUILD)/wheel.log
	$(BIN)/python -m pip install --quiet --no-deps --target $(SITE) $(BUILD)/wheel/*.whl
	cd $(BUILD)/elsewhere && PYTHONPATH=$(SITE) $(BIN)/python -c \
		'import l2core, l2torch; assert all(m.__file__.startswith("$(SITE)") for m in (l2core, l2torch))'
	$(PYTEST) $(CURDIR)/tests
	export KERAS_BACKEND=jax; $(PYTEST) $(CURDIR)/tests/keras $(CURDIR)/tests/*.py -k 'keras and not imports'
	export KERAS_BACKEND=torch; $(PYTEST) $(CURDIR)/tests/keras $(CURDIR)/tests/*.py -k 'keras and not imports'
	@echo "Tests passed."

lint: $(READY)  ## Ruff, mypy, pyright.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(READY)  ## Format and fix what can be fixed.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

examples: $(READY)  ## Run every example.
	@mkdir -p $(BUILD)/examples
	@ls examples/*.py | xargs -P 2 -I SCRIPT sh -c \
		'log=$(BUILD)/$${0%.py}.txt; $(BIN)/python $$0 > $$log 2>&1 || { cat $$log; exit 255; }; \
		echo "== $$0"; cat $$log' SCRIPT

conformance: $(READY)  ## Check every installed backend; report in build/conformance.html.
	@mkdir -p $(BUILD)
	$(BIN)/python -m l2core.conformance --html $(BUILD)/conformance.html $(ARGS)

bench: $(READY)  ## Measure ours against the built-ins and the memory floor.
	$(BIN)/python -m benchmarks $(ARGS)

clean:  ## Remove the environment and everything built.
	rm -rf $(VENV) $(BUILD)
