# `make demo` runs the main job on real input, `make test` runs every test, `make check` the fast ones in under 90 s on
# two cores; all set up what they need in .venv.
PYTHON ?= python3
CASE ?=
OUTPUT ?= out/demo
METHOD ?= scar
CODE := Logic ScarReconstruction CTPASynthesis DWMRIEnhance Testing

.PHONY: demo check test lint durations setup screenshots benchmark clean

demo:
	@$(PYTHON) Testing/setup_environment.py demo
	@.venv/bin/python Testing/demo.py --output "$(OUTPUT)" $(if $(CASE),--case "$(CASE)")

check: lint
	@cd Testing && OMP_NUM_THREADS=1 ../.venv/bin/python -m pytest -n 2 --dist loadfile -m "not slow" $(PYTEST)

test: lint
	@cd Testing && OMP_NUM_THREADS=1 ../.venv/bin/python -m pytest -n 2 --dist loadfile $(PYTEST)

lint: setup
	@.venv/bin/ruff check --config Logic/pyproject.toml --quiet $(CODE)
	@.venv/bin/ruff format --config Logic/pyproject.toml --check --quiet $(CODE)
	@cd Logic && ../.venv/bin/mypy deeprecon
	@cd Logic && ../.venv/bin/lint-imports
	@.venv/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml

# Which tests are slow: on a machine that does nothing else.
durations: setup
	@cd Testing && OMP_NUM_THREADS=1 ../.venv/bin/python -m pytest -n 2 --dist loadfile --record-slow

setup:
	@$(PYTHON) Testing/setup_environment.py test

screenshots: setup
	@.venv/bin/python Testing/panels/make_screenshots.py
	@cd Testing && QT_QPA_PLATFORM=offscreen ../.venv/bin/python -m panels.dwmri_screenshots
	@cd Testing && QT_QPA_PLATFORM=offscreen ../.venv/bin/python -m panels.ctpa_screenshots
	@cd Testing && QT_QPA_PLATFORM=offscreen ../.venv/bin/python -m panels.window_screenshots

benchmark: setup
	@for script in Testing/benchmarks/$(METHOD)_*.py; do .venv/bin/python $$script || exit 1; done

clean:
	rm -rf .venv out
