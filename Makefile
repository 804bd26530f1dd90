# Set-up and checks. `make` alone lists the targets.
PYTHON ?= python3
STACK ?= tested
VENV ?= $(if $(filter forks,$(STACK)),.venv-forks,.venv)
# loadfile: what the tests of a file share is made once.
PYTEST_ARGS ?= -n 2 --dist loadfile

PY := $(VENV)/bin/python
# Set-up is done when this file exists, and only then: written last, named by what was installed and from where.
INPUTS := setup.py pyproject.toml dicenet_mm/version.py requirements/common.txt requirements/$(STACK).txt \
	$(sort $(wildcard ops/csrc/*.* ops/csrc/*/*.* ops/csrc/*/*/*.*))
STAMP := $(VENV)/.setup-$(shell (pwd; cat $(INPUTS)) | cksum | tr ' ' -)

.PHONY: help setup quickstart test lint clean

help:  ## list the targets and variables
	@sed -n 's/^\([a-z-]*\): .*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16
	@echo 'Variables: PYTHON=python3  STACK=tested|forks  VENV=.venv  PYTEST_ARGS="-n 2 --dist loadfile"'

setup: $(STAMP)  ## create VENV with the versions of requirements/STACK.txt and install the project there, editable

$(STAMP):
	$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -r requirements/$(STACK).txt
	@echo 'compiling the operators, which takes some minutes and is said no more of'
	$(PY) -m pip install --no-build-isolation --no-deps -e .
	$(PY) -m pip check
	rm -f $(VENV)/.setup-*
	touch $@

QUICK := work_dirs/quickstart
quickstart: setup  ## train, test and try a small detector on built-in data; interrupted, it goes on where it was
	$(PY) tools/demo.py --out-dir outputs/photographs
	$(PY) tools/train.py configs/quickstart.py --resume
	$(PY) tools/test.py configs/quickstart.py $(QUICK) --eval mAP --fuse
	$(PY) tools/demo.py --model quickstart --out-dir outputs/quickstart --overwrite
	@printf '%s\n' '' 'quickstart is done:' \
		'  pictures    outputs/quickstart/*.jpg, what was found in outputs/quickstart/predictions.json' \
		'  curves      $(QUICK)/curves.png' \
		'  metrics     $(QUICK)/metrics.json' \
		'  checkpoint  $(QUICK)/best.pth' \
		'Your own pictures: $(PY) tools/demo.py PICTURE...    Your own data: $(PY) tools/train.py CONFIG --data DIR'

test: setup  ## set up, then run the tests
	OMP_NUM_THREADS=1 $(PY) -m pytest $(PYTEST_ARGS)

.PHONY: test-extras docs
test-extras: setup  ## run the tests that need the packages of requirements/export.txt and serve.txt
	$(PY) -m pip install -q -r requirements/export.txt -r requirements/serve.txt -r requirements/browser.txt
	OMP_NUM_THREADS=1 $(PY) -m pytest tests/export tests/serve

docs: setup  ## build the documentation site in site/; a warning is an error
	$(PY) -m pip install -q -r requirements/docs.txt
	$(PY) -m mkdocs build --strict

CXX_FILES := $(wildcard ops/csrc/*.cpp ops/csrc/*.h ops/csrc/*/*.cpp ops/csrc/*/*.h ops/csrc/*/*.cu ops/csrc/*/*.cuh)
.PHONY: format
lint: setup  ## check style and types
	$(PY) -m pip install -q -r requirements/lint.txt
	$(PY) -m ruff check .
	$(PY) -m mypy

format: setup  ## lay out Python and C++ as ruff and clang-format do
	$(PY) -m pip install -q -r requirements/lint.txt
	$(PY) -m ruff format .
	$(VENV)/bin/clang-format -i $(CXX_FILES)

clean:  ## delete what builds and checks leave in the tree; the packages in VENV stay
	rm -rf build dist *.egg-info ops/*.so .pytest_cache .ruff_cache $(VENV)/.setup-*
	find dicenet_mm ops configs tools tests -name __pycache__ -prune -exec rm -rf {} +
