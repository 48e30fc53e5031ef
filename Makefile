# All targets set up what they need in .venv.
PYTHON ?= python3
CASE ?=
OUTPUT ?= out/demo
METHOD ?= scar
CODE := Logic ScarReconstruction CTPASynthesis DWMRIEnhance Testing docs
DEEPRECON := .venv/bin/python -m deeprecon
SCHEMA := .venv/bin/check-jsonschema --quiet --builtin-schema

.PHONY: help demo docs check test lint durations setup screenshots benchmark clean

help:  ## this list
	@sed -nE 's/^([a-z]+):.*  ## (.*)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

demo:  ## the main job on the sample case, or on your own: CASE=DIR OUTPUT=DIR
	@$(PYTHON) Testing/setup_environment.py demo
	@.venv/bin/python Testing/demo.py --output "$(OUTPUT)" $(if $(CASE),--case "$(CASE)")

docs:  ## the documentation, into out/docs
	@$(PYTHON) Testing/setup_environment.py docs
	@.venv/bin/python -m sphinx -W --keep-going -q -b html docs out/docs
	@echo "Open out/docs/index.html"

check: lint  ## linters, types, layers and the fast tests, in under 90 s on two cores
	@cd Testing && OMP_NUM_THREADS=1 ../.venv/bin/python -m pytest -n 2 --dist loadfile -m "not slow" $(PYTEST)

test: lint  ## the same with every test
	@cd Testing && OMP_NUM_THREADS=1 ../.venv/bin/python -m pytest -n 2 --dist loadfile $(PYTEST)

lint: setup  ## linters, types, layers
	@.venv/bin/ruff check --config Logic/pyproject.toml --quiet $(CODE)
	@.venv/bin/ruff format --config Logic/pyproject.toml --check --quiet $(CODE)
	@cd Logic && ../.venv/bin/mypy deeprecon ../docs/examples
	@cd Logic && ../.venv/bin/lint-imports
	@$(SCHEMA) vendor.github-workflows .github/workflows/*.yml
	@$(SCHEMA) vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	@$(SCHEMA) vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	@$(SCHEMA) vendor.citation-file-format CITATION.cff

durations: setup  ## note which tests are slow, on a machine that does nothing else
	@cd Testing && OMP_NUM_THREADS=1 ../.venv/bin/python -m pytest -n 2 --dist loadfile --record-slow

setup:  ## .venv with all that the tests need
	@$(PYTHON) Testing/setup_environment.py test

screenshots: setup  ## the pictures of the documentation
	@.venv/bin/python Testing/panels/make_screenshots.py
	@cd Testing && QT_QPA_PLATFORM=offscreen ../.venv/bin/python -m panels.dwmri_screenshots
	@cd Testing && QT_QPA_PLATFORM=offscreen ../.venv/bin/python -m panels.ctpa_screenshots
	@cd Testing && QT_QPA_PLATFORM=offscreen ../.venv/bin/python -m panels.window_screenshots
	@$(DEEPRECON) scattering phantom --family discs --contrast-min 0.1 --count 8 --output out/discs
	@$(DEEPRECON) scattering reconstruct --data out/discs/data.h5 --output out/images
	@cp out/images/images.png Resources/Screenshots/scattering-images.png
	@$(DEEPRECON) seizure phantom --users 12 --output out/people
	@$(DEEPRECON) seizure prepare --recordings out/people/events.json --output out/data
	@$(DEEPRECON) seizure train --data out/data/dataset.npz --steps 60 --output out/model
	@$(DEEPRECON) seizure detect --recording out/people/recording.csv --bundle out/model/bundle --output out/detected
	@cp out/detected/plot.png Resources/Screenshots/seizure-probability.png

benchmark: setup  ## all benchmarks of a method, for hours: METHOD=scar
	@for script in Testing/benchmarks/$(METHOD)_*.py; do .venv/bin/python $$script || exit 1; done

clean:  ## remove .venv and out
	rm -rf .venv out
