"""The overlay: Python packages that only the child process sees, in a folder of the user.

Slicer's own packages are not changed, no restart is needed, and uninstalling deletes one folder.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path, sha256
from deeprecon.jobs.process import child_environment, python_command
from deeprecon.jobs.runner import ProcessRunner
from deeprecon.resources import resource_path

LIST_NAME = "SHA256.json"
"""Name of the checksum list in an exported zip."""

REQUIRED_BYTES = 400 * 2**20
"""Bytes that must be free before an installation starts: the packages take about 150 MB, twice while they move."""

MAX_NAME_LENGTH = 120
"""Characters of the longest path below the overlay folder; Windows limits paths to 259."""


def default_folder() -> Path:
    """Folder of the overlay for this Python version: short, in the user's home, outside any installation."""
    return Path.home() / ".deeprecon" / f"py{sys.version_info.major}{sys.version_info.minor}"


class Overlay:
    """Install, check, remove, export and import the overlay.

    Args:
        folder: of the packages.
        lock: requirements file with `name==version` and hashes.
    """

    def __init__(self, folder: Path | None = None, lock: Path | None = None) -> None:
        self.folder = folder or default_folder()
        self.lock = lock or resource_path("requirements", "overlay.lock")

    @property
    def _staging(self) -> Path:
        return self.folder.with_name(self.folder.name + ".new")

    def required(self) -> dict[str, str]:
        """Package names and versions of the lock file."""
        text = self.lock.read_text(encoding="utf-8")
        return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, flags=re.MULTILINE))

    def missing(self) -> list[str]:
        """Packages of the lock file that the child process would find neither here nor in the application's Python."""
        path = [str(self.folder), *sys.path]
        return [
            name
            for name in self.required()
            if not any(True for _ in importlib.metadata.distributions(name=name, path=path))
        ]

    def check_place(self, path_limit: int | None = None) -> None:
        """Check free space and path length before anything is written.

        Raises:
            InputError: too little space, or paths too long for the operating system.
        """
        parent = self.folder.absolute()
        while not parent.exists():
            parent = parent.parent
        free = shutil.disk_usage(parent).free
        if free < REQUIRED_BYTES:
            raise InputError(
                f"Only {free / 2**20:.0f} MB are free in {parent}; the packages need {REQUIRED_BYTES / 2**20:.0f} MB.",
                "Free some space, or choose another folder.",
            )
        limit = path_limit or (259 if os.name == "nt" else 4000)
        length = len(str(self._staging.absolute())) + MAX_NAME_LENGTH
        if length > limit:
            raise InputError(
                f"The folder {self.folder} is too deep: paths would reach {length} characters, allowed are {limit}.",
                "Choose a folder with a shorter path.",
            )

    def start_install(self, wheels: Path | None = None) -> ProcessRunner:
        """Start pip in a child process; its output arrives through the runner's `poll`. Then call `finish_install`.

        Args:
            wheels: folder of wheels to install from without network; from the package index if None.
        """
        self.check_place()
        shutil.rmtree(self._staging, ignore_errors=True)
        self._staging.mkdir(parents=True)
        command = [
            *python_command(module="deeprecon.jobs.process"), "pip", "install", "--disable-pip-version-check",
            "--no-input", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", str(self._staging),
            "-r", str(self.lock),
        ]  # fmt: skip
        if wheels is not None:
            command += ["--no-index", "--find-links", str(wheels)]
        runner = ProcessRunner(command, child_environment())
        runner.start()
        return runner

    def finish_install(self, runner: ProcessRunner) -> None:
        """Put the new packages into place, or remove the files of a failed or cancelled pip.

        Raises:
            InputError: pip failed; the installed packages are not changed.
        """
        try:
            if runner.exit_code != 0:
                raise InputError(
                    f"The packages could not be installed (pip ended with {runner.exit_code}).",
                    "Read the log. Behind a firewall, set the proxy, or import a file made on another computer.",
                )
            self._replace(self._staging)
        finally:
            shutil.rmtree(self._staging, ignore_errors=True)

    def uninstall(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def export(self, path: Path) -> None:
        """Write the overlay as one zip with the SHA-256 of each file.

        Raises:
            InputError: nothing is installed.
        """
        files = sorted(file for file in self.folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
        if not files:
            raise InputError(f"There are no packages in {self.folder} to export.", "Install them first.")
        names = {file.relative_to(self.folder).as_posix(): file for file in files}
        with atomic_path(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(LIST_NAME, json.dumps({name: sha256(file) for name, file in names.items()}, indent=0))
            for name, file in names.items():
                archive.write(file, name)

    def import_from(self, path: Path) -> None:
        """Install from a zip written by `export`.

        Raises:
            InputError: not such a zip, a file that is missing, unlisted, altered, or points out of the folder.
        """
        self.check_place()
        staging = self._staging
        shutil.rmtree(staging, ignore_errors=True)
        try:
            with zipfile.ZipFile(path) as archive:
                _unpack(archive, path, staging)
            self._replace(staging)
        except (zipfile.BadZipFile, OSError, KeyError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path} is not a package file made by DeepRecon: {error}.", "Export it again.") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _replace(self, staging: Path) -> None:
        old = Path(tempfile.mkdtemp(prefix=".old-", dir=self.folder.parent))
        if self.folder.exists():
            self.folder.rename(old / "overlay")
        staging.rename(self.folder)
        shutil.rmtree(old, ignore_errors=True)


def _unpack(archive: zipfile.ZipFile, path: Path, target: Path) -> None:
    sums = json.loads(archive.read(LIST_NAME))
    entries = [entry for entry in archive.infolist() if not entry.is_dir() and entry.filename != LIST_NAME]
    names = [entry.filename for entry in entries]
    if not isinstance(sums, dict) or sorted(names) != sorted(sums):
        raise InputError(f"The files in {path} are not those of its checksum list.", "Export it again.")
    for entry in entries:
        posix, windows = PurePosixPath(entry.filename), PureWindowsPath(entry.filename)
        is_link = (entry.external_attr >> 16) & 0o170000 == 0o120000
        if posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts or is_link:
            raise InputError(f"{path} is refused: its entry {entry.filename!r} points out of the folder.")
        content = archive.read(entry)
        if hashlib.sha256(content).hexdigest() != sums[entry.filename]:
            raise InputError(
                f"{path} is damaged or was altered: {entry.filename} has another checksum.", "Copy it again."
            )
        file = target / entry.filename
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
