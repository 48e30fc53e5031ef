"""The kinds of runs of a module, for the run panel. Its functions may work in steps (`deeprecon.steps`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slicer.i18n import tr as _

from deeprecon.steps import Steps


@dataclass(frozen=True)
class SecondaryRun:
    """A second kind of run on the same inputs, with a button next to Apply.

    Attributes:
        text, toolTip: of the button.
        prepare, load: as those of `RunCallbacks`.
        problem: gives why it cannot start, empty if it can; None if it can start whenever Apply can.
    """

    text: str
    toolTip: str
    prepare: Callable[[], Path | Steps[Path]]
    load: Callable[[Path], str | Steps[str]]
    problem: Callable[[], str] | None = None


@dataclass(frozen=True)
class RunCallbacks:
    """Functions and texts of the module for the panel.

    Attributes:
        prepare: writes the job folder and returns it; raises InputError for bad input.
        load: loads the results in a folder, the job's output or one below it, and returns a sentence about them.
        repeat: restores inputs and settings of the selected result; None if there is none.
        changed: called after each change of state.
        secondary: a second kind of run, or None.
        text: of the button that starts a run.
        controls: option of the command line, without dashes -> label of the control that does the same.
    """

    prepare: Callable[[], Path | Steps[Path]]
    load: Callable[[Path], str | Steps[str]]
    repeat: Callable[[], None] | None
    changed: Callable[[], None]
    secondary: SecondaryRun | None = None
    text: str = _("Apply")
    controls: Mapping[str, str] = field(default_factory=dict)
