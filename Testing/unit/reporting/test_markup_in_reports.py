"""Names that are HTML, of files, folders, segments and series, are text in the report of each method."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from unit.ctpa.tiny_bundle import make_bundle, make_xray
from unit.data.dicom_files import write_xray

from deeprecon import cli

NAME = "<img src=x onerror=alert(1)>&amp;'\"<b>"
SCRIPT = f"</pre><script>alert(2)</script>{NAME}"
"""File names have no slash; what stands in a file has."""
OWN_TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "table", "tr", "th", "td"),
    *("figure", "img", "figcaption", "details", "summary", "pre"),
}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files have names that Windows does not allow")


class Page(HTMLParser):
    """What a browser makes of a page: its text, and what is no part of our reports."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.foreign = "", []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        picture = str(values.get("src", "data:image/png;base64,")).startswith("data:image/png;base64,")
        if tag not in OWN_TAGS or set(values) - {"lang", "charset", "class", "src", "alt"} or not picture:
            self.foreign.append(self.get_starttag_text())

    def handle_comment(self, data: str) -> None:
        self.foreign.append(data)

    def handle_data(self, data: str) -> None:
        self.text += data


def make(folder: Path, *arguments: str) -> Path:
    assert cli.main([*arguments, "--output", str(folder)]) == cli.DONE
    return folder


def scar(folder: Path) -> tuple[list[str], list[str]]:
    from deeprecon.data.segmentation import read_segmentation, write_segmentation

    heart = make(folder / "heart", "scar", "phantom", "--node-spacing", "5", "--pixel", "5", "--no-dicom")
    given = read_segmentation(heart / "segmentation.seg.nrrd")
    mesh = (heart / "mesh.vtu").rename(folder / f"{NAME}.vtu")
    segments = folder / f"{NAME}.seg.nrrd"
    named = [replace(segment, name=f"{segment.name}{SCRIPT}") for segment in given.segments]
    write_segmentation(segments, replace(given, segments=tuple(named)))
    labels = [f"{role}={role}{SCRIPT}" for role in ("myocardium", "scar")]
    files = ["--mesh", str(mesh), "--scar", str(segments), "--myocardium", str(segments)]
    return ["scar", "reconstruct", *files, "--method", "interpolation", "--labels", *labels], [NAME, SCRIPT]


def dwmri(folder: Path) -> tuple[list[str], list[str]]:
    size = ("--columns", "12", "--rows", "12", "--slices", "6", "--shells", "1000:6")
    head = make(folder / NAME, "dwmri", "phantom", *size)
    for ending in (".nii.gz", ".bval", ".bvec"):
        (head / f"dwi{ending}").rename(head / f"{NAME}{ending}")
    return ["dwmri", "enhance", "--dwi", str(head / f"{NAME}.nii.gz"), "--method", "mppca"], [NAME]


def ctpa(folder: Path) -> tuple[list[str], list[str]]:
    from deeprecon.data.volume_io import read_volume

    pixels = read_volume(make_xray(folder / "xray.nii.gz")).array[::-1, 0]
    film = write_xray(folder / f"{NAME}.dcm", pixels.astype(np.uint16), ImagerPixelSpacing=[4.0, 4.0],
                      SeriesDescription=f"Ankle {NAME}")  # fmt: skip
    model = make_bundle(folder / NAME)
    return ["ctpa", "synthesize", "--xray", str(film), "--bundle", str(model), "--steps", "1", "--samples", "1",
            "--accept", "film-body-part"], [NAME, f"Ankle {NAME}"]  # fmt: skip


def scattering(folder: Path) -> tuple[list[str], list[str]]:
    fields = make(folder / "fields", "scattering", "phantom", "--count", "2", "--k", "4")
    data = (fields / "data.h5").rename(folder / f"{NAME}.h5")
    return ["scattering", "reconstruct", "--data", str(data)], [NAME]


@pytest.mark.parametrize("method", [scar, dwmri, ctpa, scattering])
def test_names_are_text(tmp_path: Path, method: Callable[[Path], tuple[list[str], list[str]]]) -> None:
    arguments, names = method(tmp_path)
    output = make(tmp_path / f"out{NAME}", *arguments)
    page = Page(output / "report.html")
    assert page.foreign == []
    shown = page.text.replace("\\", "")  # settings are JSON, and some texts are quoted as Python does it
    assert [name for name in names if name not in shown] == []
