# What a person or a machine runs here; `make` alone lists it. Everything is installed into .venv, which is made
# from settings.ini (what is needed) and constraints.txt (which versions).

PYTHON ?= python3
DATA ?= embedded
# A newcomer's first run: two epochs of `digits` take two minutes on two cores. Other recipes have their own epochs.
RECIPE ?= digits
EPOCHS ?= $(if $(filter digits,$(RECIPE)),2)
SEED ?= 0
OUT ?= runs/first
RUNS ?= 100000

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/runtime.stamp
DEV := $(VENV)/dev.stamp
NEEDS := settings.ini setup.py constraints.txt
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEV_EXTRAS := dev,studies,parity,oracle,browser

# The four files of MNIST are used where they lie beside the checkout; a LEARNING_GAN_DATA of your own goes first.
MNIST_BESIDE := $(shell cd ../shared/data/mnist 2>/dev/null && pwd)
ifneq ($(MNIST_BESIDE),)
export LEARNING_GAN_DATA ?= $(MNIST_BESIDE)
endif

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo "  Variables: PYTHON=$(PYTHON)  and for train RECIPE=$(RECIPE) EPOCHS=$(EPOCHS) DATA=$(DATA) SEED=$(SEED) OUT=$(OUT)"
	@echo "             and for fuzz RUNS=$(RUNS)"

.PHONY: train
train: $(RUNTIME) ## from nothing to a picture of new digits: install what that needs, train, draw
	$(BIN)/learning_gan_train --recipe "$(RECIPE)" $(if $(EPOCHS),--epochs "$(EPOCHS)") --data "$(DATA)" \
	  --seed "$(SEED)" --out "$(OUT)"

# Tests run on the digits that come with the package, whatever lies on a machine, so that everybody runs the same.
.PHONY: test
test: lint ## lint, then run every chapter and every test that is not marked `long`
	LEARNING_GAN_DATA=embedded $(BIN)/nbdev_test --n_workers 2 --timing
	LEARNING_GAN_DATA=embedded $(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "not long"

.PHONY: test-all
test-all: test ## the same, then the long tests: clusters, studies, the whole of MNIST where it is at hand
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m long

.PHONY: lint
lint: $(DEV) ## style of notebooks and code, dead names in the package; notebooks clean and exported; numbers true
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ruff check --select F,E9 learning_gan
	$(BIN)/python tools/check_export.py
	$(BIN)/python tools/verify.py

.PHONY: verify
verify: $(DEV) ## compare the numbers in the text with the result files (a part of lint)
	$(BIN)/python tools/verify.py

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
lab-assets: $(DEV) ## write anew what the lab's page loads: WebAssembly, digits, generators (needs npm, chapter 31's run, one of hangul)
	$(BIN)/python tools/make_lab.py

# Studies and comparisons: longer than a test may be. Each writes a small result file that a chapter reads.

.PHONY: classifier
classifier: $(DEV) ## train the scorecard's classifier anew (a new ruler: see tools/train_classifier.py)
	$(BIN)/python tools/train_classifier.py

.PHONY: hangul-data
hangul-data: $(DEV) ## draw the glyphs of the data hangul anew from pinned fonts (needs npm)
	$(BIN)/python tools/make_hangul.py

.PHONY: reader
reader: $(DEV) ## train the reader of Hangul anew (a new ruler; needs npm)
	$(BIN)/python tools/train_reader.py

.PHONY: study
study: $(DEV) ## a study, NAME=trial for one; it goes on where it stopped (ONLY="steady/*" SEEDS=2 MIX=1)
	@set -f; $(BIN)/python -m studies $(NAME) $(if $(ONLY),--only $(ONLY)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(MIX),--mix)

.PHONY: bench
bench: $(VENV)/bench.stamp ## race the clock: NAME=post, dcgan, ideas, scaling or devices, or all (installs torch and jax)
	env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/python -m benchmarks "$(NAME)"

.PHONY: oracle
oracle: $(VENV)/oracle_torch.stamp ## compare the scorecard with torchmetrics (installs torch)
	$(BIN)/python tools/oracle_torch.py

.PHONY: fuzz
fuzz: $(VENV)/fuzz.stamp ## fuzz what reads files from strangers, RUNS inputs a target (installs atheris)
	for target in idx config history samples checkpoint; do $(BIN)/python tools/fuzz.py $$target "$(RUNS)" || exit 1; done

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
	grep "^#" constraints.txt > .venv-pins/head
	.venv-pins/bin/python -m pip list --format=freeze --exclude pip --exclude learning_gan \
	  | awk -F== '{gsub(/[-_.]+/, "-", $$1); print tolower($$1) "==" $$2}' | LC_ALL=C sort -t= -k1,1 \
	  | cat .venv-pins/head - > constraints.txt
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
