"""Messages of a job in the words of the panel: labels for options, nodes for files, no codes and no temporary paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from slicer.i18n import tr as _

from deeprecon.data.doubts import TO_CONTINUE

_ACCEPT = re.compile(rf"{re.escape(TO_CONTINUE)}(?: [a-z0-9-]+)+")
_CODE = re.compile(r"\((assumed|accepted): [a-z0-9-]+\)")
_FIELD = re.compile(r"^([a-z][a-z0-9_]*): ")
_OPTION = re.compile(r"--([a-z][a-z0-9-]*[a-z0-9])(?: '[^']*')?")


def panelWords(
    text: str, controls: Mapping[str, str], fileNames: Mapping[str, str] | None = None, folder: Path | None = None
) -> str:
    """A message of a job as the panel says it.

    Args:
        text: the message, as the command line shows it.
        controls: option of the command line, without dashes -> label of the control that does the same.
        fileNames: name of a file in the job folder -> name of the node it was made from.
        folder: of the job; the path is left out of the message, because it is a temporary one.
    """
    if folder is not None:
        below = rf"{re.escape(str(folder))}(?:[/\\][^\s/\\:;,]+)*[/\\](?=[^\s/\\])"
        text = re.sub(below, "", text).replace(str(folder), _("the folder of the run"))
    for file, node in (fileNames or {}).items():
        text = text.replace(file, node)
    text = _ACCEPT.sub(_("To continue all the same, run it alone and press “Continue anyway”."), text)
    text = _CODE.sub(r"(\1)", text)
    text = _FIELD.sub(lambda found: f"{controls.get(found[1].replace('_', '-'), found[1])}: ", text)
    return _OPTION.sub(lambda found: f'"{controls.get(found[1]) or found[1].replace("-", " ").capitalize()}"', text)
