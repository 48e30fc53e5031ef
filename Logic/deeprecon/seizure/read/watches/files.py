"""The files of watches, by their endings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from deeprecon.data.errors import InputError
from deeprecon.seizure.read.text import read_text
from deeprecon.seizure.read.watches import empatica_e4
from deeprecon.seizure.read.watches.accelerometer_csv import parse_accelerometer_csv
from deeprecon.seizure.read.watches.actigraph import read_actigraph
from deeprecon.seizure.read.watches.axivity import read_axivity
from deeprecon.seizure.read.watches.bids_motion import ENDING as BIDS_MOTION
from deeprecon.seizure.read.watches.bids_motion import read_bids_motion
from deeprecon.seizure.read.watches.embraceplus import read_embraceplus
from deeprecon.seizure.read.watches.geneactiv import read_geneactiv
from deeprecon.seizure.read.watches.samples import Samples, with_clock_doubts

BINARY: dict[str, Callable[[Path], Samples]] = {
    ".bin": read_geneactiv,
    ".gt3x": read_actigraph,
    ".cwa": read_axivity,
    ".avro": read_embraceplus,
}
"""Readers by ending."""


def read_watch(path: Path, columns: Sequence[str] = ()) -> Samples:
    """The samples of a watch's file other than a CSV, or of a folder of an Empatica's files.

    Args:
        path: of the file or folder.
        columns: of BIDS motion, see `read_bids_motion`.

    Raises:
        InputError: the ending is unknown, the file cannot be read, or `columns` are given that it does not have.
    """
    suffix = path.suffix.lower()
    if path.name.endswith(BIDS_MOTION):
        return with_clock_doubts(read_bids_motion(path, columns))
    if columns:
        raise InputError(f"{path} has no columns to name.", "Leave out --columns: it is for CSV and BIDS motion.")
    if path.is_dir():
        if (path / empatica_e4.FILE).exists():
            return empatica_e4.parse_e4(path / empatica_e4.FILE, read_text(path / empatica_e4.FILE))
        suffix = ".avro" if any(path.glob("*.avro")) else ""
    if suffix not in BINARY:
        known = f".json, .csv, {', '.join(BINARY)}, {BIDS_MOTION}"
        hint = f"Give an event file or a recording ({known}), or a folder of an Empatica's ACC.csv or .avro files."
        raise InputError(f"{path} is no recording that can be read.", hint)
    try:
        return with_clock_doubts(BINARY[suffix](path))
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error


def parse_watch_csv(path: Path, text: str, columns: Sequence[str] = ()) -> Samples:
    """The samples of a watch's CSV file, given its text; that of an Empatica E4 is told by its content.

    Raises:
        InputError: see `parse_accelerometer_csv` and `parse_e4`.
    """
    if not columns and empatica_e4.is_e4_table(text):
        return empatica_e4.parse_e4(path, text)
    return with_clock_doubts(parse_accelerometer_csv(path, text, columns))
