# Every target builds the environment that it needs from constraints.txt, and builds it on again when
# constraints.txt or pyproject.toml has changed. Another Python: make test PYTHON=python3.13

PYTHON ?= python3
DEMO ?= demo
BENCHMARKS ?= imports step threads shares recipes pairs apply gui view_tiles paper
PYTEST_FLAGS ?=
PYTEST_JOBS ?= 2
OUT ?= constraints.txt
CAMPAIGN_SECONDS ?= 3600
TORCH ?= $(shell sed -n 's/^torch==//p' constraints.txt)

# One half of the tests can't reach the coverage floor, so only both together are held to it.
MEASURED = --cov --cov-report= --cov-fail-under=0

# Tests open windows: on a screen of their own where there is Xvfb, so that their size is known.
SCREEN = -screen 0 1600x1000x24 +extension GLX

.DEFAULT_GOAL := help
.PHONY: help demo test test-pyside6 coverage check docs docs-links constraints bench campaign clean system-libraries

help:  ## show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

demo: .venv/installed | system-libraries  ## learn a stain and labels, translate what was never seen, report in demo/
	.venv/bin/napari-pix2pix demo --out $(DEMO) --overwrite

test: .venv/installed | system-libraries  ## run the tests, docks on PyQt6 (some: PYTEST_FLAGS="-k name")
	$(call run_tests,.venv,not window)
	$(call run_tests,.venv,window)

test-pyside6: .venv-pyside6/installed | system-libraries  ## run the tests that know Qt on PySide6
	$(call run_tests,.venv-pyside6,window)

coverage: .venv/installed | system-libraries  ## run the tests of make test, and fail below the coverage floor
	$(call run_tests,.venv,not window,$(MEASURED))
	$(call run_tests,.venv,window,$(MEASURED) --cov-append)
	.venv/bin/coverage report

check: .venv/installed  ## check format, lint, types, spelling and GitHub workflows
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/typos
	.venv/bin/zizmor --offline --no-progress .github

docs: .venv/docs-installed  ## build the documentation site in docs/_build/html, running its examples
	MPLBACKEND=agg QT_QPA_PLATFORM=offscreen .venv/bin/python -m sphinx -b html -W --keep-going docs docs/_build/html

docs-links: .venv/docs-installed  ## check every link of the documentation (needs a network)
	MPLBACKEND=agg QT_QPA_PLATFORM=offscreen .venv/bin/python -m sphinx -b linkcheck -D plot_gallery=False docs docs/_build/links

constraints:  ## write constraints.txt anew (another torch: TORCH=2.13.0; into another file: OUT=new.txt)
	$(PYTHON) tools/make_constraints.py --torch $(TORCH) --out $(OUT)

bench: .venv/installed  ## run the benchmarks (an hour and more; one of them: BENCHMARKS=imports)
	@set -e; $(on_a_screen); \
	for name in $(BENCHMARKS); do echo "== benchmarks/$$name.py"; "$$@" .venv/bin/python benchmarks/$$name.py; done

campaign: .venv/installed  ## damage files, kill runs, starve them and let them meet; docs/campaign.md gets the result (hours)
	.venv/bin/python tests/integration/campaign/run.py --seconds $(CAMPAIGN_SECONDS)

clean:  ## remove the environments and all that was built or written by a tool
	rm -rf .venv .venv-pyside6 build dist demo docs/_build docs/gallery .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

system-libraries:
	@bash tools/install_system_libraries.sh

.venv/installed: pyproject.toml constraints.txt
	$(call build_environment,.venv,--group dev --group pyqt6)

.venv/docs-installed: .venv/installed
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --group docs
	@touch $@

.venv-pyside6/installed: pyproject.toml constraints.txt
	$(call build_environment,.venv-pyside6,--group test --group pyside6)

define build_environment
@$(PYTHON) -c 'import sys; v = sys.version_info; v < (3, 11) and sys.exit("napari-pix2pix needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0] + ". Name a newer one: make PYTHON=python3.12")'
test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
$(1)/bin/python -m pip install --quiet --constraint constraints.txt --upgrade pip
$(1)/bin/python -m pip install --quiet --constraint constraints.txt --editable . $(2)
@touch $@
endef

# Set the command's first words to what gives it a screen.
define on_a_screen
if command -v xvfb-run >/dev/null; then set -- xvfb-run -a -s "$(SCREEN)"; else set --; fi
endef

# Tests that know Qt have processes of their own: Python's garbage collector, when it runs in another
# thread, such as those of dask.distributed, takes Qt objects away under the feet of the main one.
# That none is selected (5) is no failure: a name may be in one of the halves only.
define run_tests
@$(on_a_screen); \
"$$@" $(1)/bin/python -m pytest -n $(PYTEST_JOBS) --dist loadfile -m "$(2)" $(3) $(PYTEST_FLAGS) || test $$? -eq 5
endef
