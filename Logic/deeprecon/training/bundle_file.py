"""Model bundles as single files, to be handed on: zipped, and checked against their card when they come in."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.training.bundle import CARD, Bundle, read_bundle


def export_bundle(bundle: Bundle, path: Path) -> None:
    """Write a bundle as a zip file; weights are stored as they are, for they do not get smaller.

    Raises:
        InputError: the file cannot be written.
    """
    names = [CARD, *sorted(bundle.metadata["files"])]
    try:
        with atomic_path(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for name in names:
                archive.write(bundle.folder / name, name)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.", "Choose another folder.") from error


def import_bundle(path: Path, folder: Path, method: str) -> Bundle:
    """Unpack a bundle that `export_bundle` wrote.

    Args:
        path: the zip file.
        folder: gets the bundle in a folder of its own, named after the model and its checksum.
        method: the method that will use it.

    Raises:
        InputError: no zip file, or no bundle of this method in it, or a damaged one; nothing is left behind then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".part-", dir=folder))
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                parts = PurePosixPath(name)
                if parts.is_absolute() or ".." in parts.parts or "\\" in name or ":" in name:
                    raise InputError(f"{path} names a file outside of the bundle: {name!r}.", "Do not use this bundle.")
            archive.extractall(staging)
        bundle = read_bundle(staging, method)
        words = re.sub(r"[^A-Za-z0-9]+", "-", str(bundle.metadata.get("name", method))).strip("-").lower()
        target = folder / f"{words or method}-{bundle.sha256[:8]}"
        if not target.exists():
            staging.chmod(0o755)  # mkdtemp's folders are private
            staging.rename(target)
        return read_bundle(target, method)
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{path} is no model bundle in a zip file, or it is damaged.", "Get it again.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
