"""Table of known seizures, for recordings whose files do not contain them."""

from __future__ import annotations

from pathlib import Path

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.tables import read_table


@names_damage
def read_seizure_table(path: Path) -> dict[str, tuple[str, list[tuple[float, float]]]]:
    """User and seizures of each recording; a row without times is a recording without seizures.

    Raises:
        InputError: columns are missing, a time is not a number, or a recording has two users.
    """
    found: dict[str, tuple[str, list[tuple[float, float]]]] = {}
    for number, row in enumerate(read_table(path), start=2):
        if missing := [name for name in ("recording", "user", "start", "end") if name not in row]:
            raise InputError(f"{path} lacks the columns {', '.join(missing)}.")
        name = Path(row["recording"]).stem
        if not name:
            continue
        user, seizures = found.setdefault(name, (row["user"], []))
        if user != row["user"]:
            raise InputError(f"{path}, row {number}: the recording {name} has two users, {user} and {row['user']}.")
        if row["start"] or row["end"]:
            try:
                seizures.append((float(row["start"]), float(row["end"])))
            except ValueError:
                raise InputError(f"{path}, row {number}: start and end must be numbers of seconds.") from None
    return found
