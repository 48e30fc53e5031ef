"""Sets up .venv for the demo, the documentation or the tests: `python3 Testing/setup_environment.py demo|docs|test`.

Checks the system libraries first, installs the hashed lock file, then the torch build that fits this machine.
Standard library only, since it runs before anything is installed.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
LOCKS = ROOT / "Testing" / "requirements"
TORCH = "2.13.0"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"

RENDERING = {"libEGL.so.1": "libegl1", "libEGL_mesa.so.0": "libegl-mesa0", "libGL.so.1": "libgl1"}
QT = {
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libglib-2.0.so.0": "libglib2.0-0",
}


def main(level: str) -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is run by whatever Python is there
        sys.exit(f"Python 3.11 or newer is needed, not {sys.version.split()[0]}. Try: make {level} PYTHON=python3.11")
    install_system_libraries(level)
    stamp = VENV / f".{level}-{fingerprint(level)}"
    if stamp.exists():
        return
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    # The lock names every package there is to install; torch, which some ask for, follows.
    pip("install", "--require-hashes", "--no-deps", "-r", str(LOCKS / f"{level}.lock"))
    install_torch()
    pip("install", "--no-deps", "--no-build-isolation", "-e", str(ROOT / "Logic"))
    stamp.touch()


def fingerprint(level: str) -> str:
    """Changes whenever the environment has to be made anew."""
    text = (LOCKS / f"{level}.lock").read_bytes() + (ROOT / "Logic" / "pyproject.toml").read_bytes() + TORCH.encode()
    return hashlib.sha256(text).hexdigest()[:12]


def pip(*arguments: str, check: bool = True) -> bool:
    command = [str(PYTHON), "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    print("+ pip", *arguments, flush=True)
    done = subprocess.run(command, check=False).returncode == 0
    if check and not done:
        sys.exit("pip could not install what is needed (see above). Check the connection, then try again.")
    return done


def install_torch() -> None:
    """CUDA build beside an NVIDIA GPU, else the CPU build, which PyTorch's own index has for Linux."""
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia/version").exists():
        pip("install", f"torch=={TORCH}")
    elif sys.platform == "linux":
        cpu = f"torch=={TORCH}+cpu"
        if not pip("install", "--no-deps", cpu, check=False):
            pip("install", "--no-deps", cpu, "--index-url", TORCH_CPU_INDEX)
    else:  # the builds for Windows and macOS are CPU builds
        pip("install", "--no-deps", f"torch=={TORCH}")


def install_system_libraries(level: str) -> None:
    """Offscreen rendering needs EGL; the stand-in Slicer of the tests also needs Qt's libraries and a font."""
    if sys.platform != "linux":
        return
    wanted = RENDERING | (QT if level == "test" else {})
    packages = [package for library, package in wanted.items() if not loadable(library)]
    if not any(Path("/usr/lib").glob("**/dri/*_dri.so")):
        packages.append("libgl1-mesa-dri")
    if level == "test" and not any(Path("/usr/share/fonts").glob("**/*.[to]tf")):
        packages.append("fonts-dejavu-core")
    if not packages:
        return
    line = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(f"System libraries are missing. Run this line, then try again:\n    sudo sh -c '{line}'")
    print("+", line, flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    if subprocess.run(["sh", "-c", line], env=environment, check=False).returncode:
        sys.exit(f"The system libraries could not be installed. Please run: {line}")


def loadable(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("demo", "docs", "test"):
        sys.exit(__doc__)
    main(sys.argv[1])
