#!/usr/bin/env bash
# Renews the hashed lock files; needs uv. torch stays out of them: its CPU and CUDA builds share a version.
set -euo pipefail
cd "$(dirname "$0")"
overlay=../../Logic/deeprecon/Resources/requirements/overlay
apart=$(mktemp)
echo "torch ; sys_platform == 'never'" > "$apart"
compile() { uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --override "$apart" --no-emit-package torch "$@"; }
compile --python-version 3.11 demo.in -o demo.lock
compile --python-version 3.11 test.in -o test.lock --constraint demo.lock
compile --python-version 3.11 docs.in -o docs.lock --constraint test.lock
# Slicer 5.10 and 5.12: Python 3.12 with a numpy of their own, the older of which is 2.0.2
compile --python-version 3.12 "$overlay.in" -o "$overlay.lock" --constraint <(echo "numpy==2.0.2") --no-emit-package numpy
compile --python-version 3.12 slicer.in -o slicer.lock --constraint <(grep -oE "^(pytest|pytest-timeout|h5py)==\S+" test.lock; echo "numpy==2.0.2") --no-emit-package numpy
rm "$apart"
