"""Model bundles as single files, to be handed on: zipped, and checked against their card when they come in."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.files import atomic_path
from deeprecon.training.bundle import CARD, MAX_CARD, Bundle, parse_card, read_bundle

MAX_RATIO = 100
"""Bytes unpacked for a byte in the zip file; more is no bundle."""


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


@names_damage
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
            _check_entries(path, archive)
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


def _check_entries(path: Path, archive: zipfile.ZipFile) -> None:
    """Check the names and sizes of what is in a zip file against its card before anything is unpacked."""
    hint = "Do not use this bundle."
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    for entry in archive.infolist():
        parts = PurePosixPath(entry.filename)
        if parts.is_absolute() or ".." in parts.parts or "\\" in entry.filename or ":" in entry.filename:
            raise InputError(f"{path} names a file outside of the bundle: {entry.filename!r}.", hint)
    cards = [entry for entry in entries if entry.filename == CARD]
    if len(cards) != 1 or cards[0].file_size > MAX_CARD:
        raise InputError(f"{path} is no model bundle in a zip file: it has no card {CARD}.", "Choose a bundle.")
    card = parse_card(path, archive.read(cards[0]).decode("utf-8", "replace"))
    if sorted(entry.filename for entry in entries) != sorted([CARD, *card["files"]]):
        raise InputError(f"{path} does not hold the files that its card names.", hint)
    for entry in entries:  # weights do not get smaller: `export_bundle` stores them as they are
        if entry.file_size > MAX_RATIO * max(entry.compress_size, 1024):
            raise InputError(
                f"{path} is damaged: {entry.filename} is {entry.file_size} bytes in a zip file of few.", hint
            )
