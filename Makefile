# `make demo` runs the main job on real input, `make test` runs every test; both set up all they need in .venv.
PYTHON ?= python3
CASE ?=
OUTPUT ?= out/demo
METHOD ?= scar

.PHONY: demo test setup screenshots benchmark clean

demo:
	@$(PYTHON) Testing/setup_environment.py demo
	@.venv/bin/python Testing/demo.py --output "$(OUTPUT)" $(if $(CASE),--case "$(CASE)")

test:
	@$(PYTHON) Testing/setup_environment.py test
	@.venv/bin/ruff check --config Logic/pyproject.toml --quiet Logic ScarReconstruction CTPASynthesis DWMRIEnhance Testing
	@.venv/bin/ruff format --config Logic/pyproject.toml --check --quiet Logic ScarReconstruction CTPASynthesis DWMRIEnhance Testing
	@cd Logic && ../.venv/bin/mypy deeprecon
	@cd Logic && ../.venv/bin/lint-imports
	@cd Testing && OMP_NUM_THREADS=1 ../.venv/bin/python -m pytest -n 2 --dist loadfile $(PYTEST)

setup:
	@$(PYTHON) Testing/setup_environment.py test

screenshots: setup
	@.venv/bin/python Testing/panels/make_screenshots.py
	@cd Testing && QT_QPA_PLATFORM=offscreen ../.venv/bin/python -m panels.dwmri_screenshots
	@cd Testing && QT_QPA_PLATFORM=offscreen ../.venv/bin/python -m panels.ctpa_screenshots

benchmark: setup
	@for script in Testing/benchmarks/$(METHOD)_*.py; do .venv/bin/python $$script || exit 1; done

clean:
	rm -rf .venv out
