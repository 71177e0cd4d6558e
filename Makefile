# What a person or a machine runs here; `make` alone lists it. Everything is installed into .venv, which is made
# from settings.ini (what is needed) and constraints.txt (which versions).

PYTHON ?= python3
DATA ?= embedded
EPOCHS ?= 100
SEED ?= 0
OUT ?= runs/first
RUNS ?= 100000

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/runtime.stamp
DEV := $(VENV)/dev.stamp
NEEDS := settings.ini setup.py constraints.txt
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEV_EXTRAS := dev,parity,oracle,browser

# The four files of MNIST are used where they lie beside the checkout; a LEARNING_GAN_DATA of your own goes first.
MNIST_BESIDE := $(shell cd ../shared/data/mnist 2>/dev/null && pwd)
ifneq ($(MNIST_BESIDE),)
export LEARNING_GAN_DATA ?= $(MNIST_BESIDE)
endif

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo "  Variables: PYTHON=$(PYTHON)  and for train DATA=$(DATA) EPOCHS=$(EPOCHS) SEED=$(SEED) OUT=$(OUT)"
	@echo "             and for fuzz RUNS=$(RUNS)"

.PHONY: train
train: $(RUNTIME) ## from nothing to a picture of new digits: install what that needs, train, draw
	$(BIN)/learning_gan_train --data "$(DATA)" --epochs "$(EPOCHS)" --seed "$(SEED)" --out "$(OUT)"

.PHONY: test
test: lint ## lint, then run every chapter and every test
	$(BIN)/nbdev_test --n_workers 2 --timing
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.PHONY: lint
lint: $(DEV) ## style of notebooks and code, dead names in the package; notebooks clean, package equal to their export
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ruff check --select F,E9 learning_gan
	$(BIN)/python tools/check_export.py

.PHONY: export
export: $(DEV) ## format the notebooks and write the package and README.md from them
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .
	$(BIN)/nbdev_clean
	$(BIN)/nbdev_export
	$(BIN)/python tools/build_readme.py

.PHONY: notebooks
notebooks: $(DEV) ## execute all chapters in order and save their outputs (the long, real runs)
	$(BIN)/python tools/execute_notebooks.py
	$(BIN)/python tools/build_readme.py

.PHONY: docs
docs: $(DEV) ## build the site into _docs
	$(BIN)/python tools/build_docs.py

.PHONY: lab
lab: $(DEV) ## open the chapters in JupyterLab
	$(BIN)/jupyter lab nbs

.PHONY: lab-assets
lab-assets: $(DEV) ## write anew what the lab's page loads: jax-js, digits, generators (needs npm and chapter 31's run)
	$(BIN)/python tools/make_lab.py

# Studies and comparisons: longer than a test may be. Each writes a small result file that a chapter reads.

.PHONY: classifier
classifier: $(DEV) ## train the scorecard's classifier anew (a new ruler: see tools/train_classifier.py)
	$(BIN)/python tools/train_classifier.py

.PHONY: study-scores
study-scores: $(DEV) ## train and score several seeds of the recipe, for the baseline of chapter 20
	$(BIN)/python tools/study_scores.py

.PHONY: study-recipes
study-recipes: $(DEV) ## train and score several seeds of each other recipe, for chapter 30
	$(BIN)/python tools/study_recipes.py

.PHONY: museum
museum: $(DEV) ## train every failure of the museum and every healthy recipe with several seeds, for chapter 33
	$(BIN)/python tools/study_museum.py

.PHONY: court
court: $(DEV) ## try every tip with several seeds; VARIANT="relu hinge" tries those alone
	$(BIN)/python tools/study_court.py $(if $(VARIANT),--variants $(VARIANT))

.PHONY: study-labels
study-labels: $(DEV) ## train with 100, 20 and 50 labels and several seeds, for chapter 34 (several hours)
	$(BIN)/python tools/study_labels.py

.PHONY: study-parity
study-parity: $(DEV) ## train several seeds with the graph of 2017 and with ours, for the comparison of chapter 21
	$(BIN)/python benchmarks/study_parity.py

.PHONY: bench
bench: $(VENV)/bench.stamp ## compare the training speed with other ways and the matmul limit (installs torch and jax)
	$(BIN)/python benchmarks/train_speed.py
	$(BIN)/python benchmarks/train_speed.py --race dcgan --rounds 3

.PHONY: bench-ideas
bench-ideas: $(DEV) ## time each idea of chapter 17
	$(BIN)/python benchmarks/ideas.py

.PHONY: bench-scaling
bench-scaling: $(DEV) ## time updates over batch size, width and epochs
	$(BIN)/python benchmarks/scaling.py

.PHONY: bench-devices
bench-devices: $(DEV) ## time an update on one core, on two, and shared by two processes
	$(BIN)/python benchmarks/devices.py

.PHONY: oracle
oracle: $(VENV)/oracle_torch.stamp ## compare the scorecard with torchmetrics (installs torch)
	$(BIN)/python tools/oracle_torch.py

.PHONY: fuzz
fuzz: $(VENV)/fuzz.stamp ## fuzz what reads files from strangers, RUNS inputs a target (installs atheris)
	$(BIN)/python tools/fuzz.py --runs "$(RUNS)"

.PHONY: wheel-test
wheel-test: $(DEV) ## build the wheel, install it with only its own needs into an empty environment, train there
	$(BIN)/python -m pytest tests/wheel_in_new_environment.py

.PHONY: hooks
hooks: $(DEV) ## install the git hooks: clean and export at each commit, merge notebooks cell by cell
	$(BIN)/nbdev_install_hooks
	$(BIN)/pre-commit install

.PHONY: pins
pins: ## renew constraints.txt: newest versions that settings.ini allows
	rm -rf .venv-pins
	$(PYTHON) -m venv .venv-pins
	.venv-pins/bin/python -m pip install --quiet --disable-pip-version-check ".[$(DEV_EXTRAS)]"
	.venv-pins/bin/python tools/pin_versions.py
	rm -rf .venv-pins

.PHONY: clean
clean: ## remove what was built; runs and .venv stay
	rm -rf _docs _proc build dist *.egg-info .pytest_cache .ruff_cache .hypothesis nbs/nbdev.yml
	find . -path ./$(VENV) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "learning_gan needs Python 3.11, 3.12 or 3.13 (TensorFlow's range), and $(PYTHON) is not one:" \
	  "name it, as in  make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): $(NEEDS) | $(VENV)/bin/python
	@echo "Installing what the package needs into $(VENV) (a minute or so)"
	@$(INSTALL) --editable .
	@touch $@

$(DEV): $(NEEDS) | $(VENV)/bin/python
	@echo "Installing the development set into $(VENV) (two minutes or so)"
	@$(INSTALL) --editable ".[$(DEV_EXTRAS)]"
	@touch $(RUNTIME) $@

$(VENV)/bench.stamp $(VENV)/fuzz.stamp $(VENV)/oracle_torch.stamp: $(DEV)
	@echo "Installing the extra $(basename $(@F)) into $(VENV)"
	@$(INSTALL) --editable ".[$(basename $(@F))]"
	@touch $@
