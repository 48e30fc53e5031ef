from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.data.markups import read_markups
from deeprecon.scar.simulate.hearts import sample_case, write_case

COLUMNS = "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"


def point(label: str, position: Any, **more: Any) -> dict[str, Any]:
    return {"id": "1", "label": label, "position": position, "positionStatus": "defined"} | more


def save(path: Path, *lists: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"@schema": "markups-schema-v1.0.3.json#", "markups": list(lists)}), encoding="utf-8")
    return path


def markup(*points: dict[str, Any], system: str = "LPS") -> dict[str, Any]:
    return {"type": "Fiducial", "coordinateSystem": system, "controlPoints": list(points)}


def fcsv(path: Path, lines: str, system: str | None = "LPS") -> Path:
    frame = f"# CoordinateSystem = {system}\n" if system else ""
    path.write_text(f"# Markups fiducial file version = 5.6\n{frame}{COLUMNS}{lines}", encoding="utf-8")
    return path


def test_landmarks_of_the_phantom_come_back(tmp_path: Path) -> None:
    phantom = sample_case(lesion="none", spacing=40, thickness=20, pixel=6, node_spacing=5)
    read = read_markups(write_case(phantom, tmp_path)["landmarks"])
    assert list(read) == list(phantom.landmarks)
    for name, place in phantom.landmarks.items():
        assert read[name] == pytest.approx(place, abs=1e-9)


def test_each_list_has_its_own_coordinate_system(tmp_path: Path) -> None:
    path = save(
        tmp_path / "points.mrk.json",
        markup(point("apex", [1, 2, 3])),
        markup(point("base", [1, 2, 3]), system="RAS"),
        {"controlPoints": [{"label": "insertion", "position": [4, 5, 6]}]},  # LPS is the default of the format
    )
    read = read_markups(path)
    assert {name: place.tolist() for name, place in read.items()} == {
        "apex": [-1, -2, 3],
        "base": [1, 2, 3],
        "insertion": [-4, -5, 6],
    }
    assert read["apex"].dtype == np.float64


def test_points_that_are_not_placed_are_left_out(tmp_path: Path) -> None:
    lists = markup(point("apex", [1, 2, 3]), point("base", [0, 0, 0], positionStatus="undefined"), point("", [7, 7, 7]))
    assert list(read_markups(save(tmp_path / "a.mrk.json", lists))) == ["apex"]


@pytest.mark.parametrize(("system", "sign"), [("LPS", -1), ("1", -1), ("RAS", 1), ("0", 1), (None, 1)])
def test_old_files_name_their_coordinate_system_by_word_or_number(
    tmp_path: Path, system: str | None, sign: int
) -> None:
    lines = '1,10.5,-20,30,0,0,0,1,1,1,0,apex,"tip, of the heart",,2,0\n\n2,1,2,3,0,0,0,1,1,1,0,base,,\n'
    read = read_markups(fcsv(tmp_path / "points.FCSV", lines, system))
    assert list(read) == ["apex", "base"]
    assert read["apex"].tolist() == [sign * 10.5, sign * -20, 30]
    assert read["base"].tolist() == [sign * 1, sign * 2, 3]


def test_the_header_says_where_the_columns_are(tmp_path: Path) -> None:
    path = tmp_path / "points.fcsv"
    path.write_text("# CoordinateSystem = RAS\r\n# columns = label,z,y,x\r\napex,3,2,1\r\n", encoding="utf-8")
    assert read_markups(path)["apex"].tolist() == [1, 2, 3]


def test_points_of_old_files_that_are_not_placed_are_left_out(tmp_path: Path) -> None:
    lines = "1,1,2,3,0,0,0,1,1,1,0,apex,,,2,0\n2,0,0,0,0,0,0,1,1,1,0,base,,,0,0\n"
    assert list(read_markups(fcsv(tmp_path / "points.fcsv", lines))) == ["apex"]


BAD_JSON = {
    "not valid JSON": "{",
    "no list of markups": json.dumps({"points": []}),
    "no list": "[1, 2]",
    "no list of": json.dumps({"markups": ["apex"]}),
    "no named point": json.dumps({"markups": [markup()]}),
    "no points": json.dumps({"markups": [{"controlPoints": [3]}]}),
    "coordinates in IJK": json.dumps({"markups": [markup(point("apex", [1, 2, 3]), system="IJK")]}),
    "coordinates in um": json.dumps({"markups": [markup(point("apex", [1, 2, 3])) | {"coordinateUnits": "um"}]}),
    "two points named apex": json.dumps(
        {"markups": [markup(point("apex", [1, 2, 3])), markup(point("apex", [1, 2, 3]))]}
    ),
    "position of apex is not three": json.dumps({"markups": [markup(point("apex", [1, 2]))]}),
    "of tip is not three finite": json.dumps({"markups": [markup(point("tip", [1, 2, float("nan")]))]}),
    "of base is not three finite": json.dumps({"markups": [markup(point("base", ["far", 2, 3]))]}),
    "of end is not": json.dumps({"markups": [markup(point("end", None))]}),
}


@pytest.mark.parametrize(("words", "text"), BAD_JSON.items(), ids=BAD_JSON)
def test_a_file_that_cannot_be_used_is_refused_in_words(tmp_path: Path, words: str, text: str) -> None:
    path = tmp_path / "points.mrk.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words) as caught:
        read_markups(path)
    assert str(path) in caught.value.message


BAD_FCSV = {
    "lacks the header": "apex,1,2,3\n",
    "no column label": "# CoordinateSystem = LPS\n# columns = id,x,y,z\n1,1,2,3\n",
    "coordinates in 2": f"# CoordinateSystem = 2\n{COLUMNS}1,1,2,3,0,0,0,1,1,1,0,apex,,\n",
    "of apex is not three": f"# CoordinateSystem = LPS\n{COLUMNS}1,1,inf,3,0,0,0,1,1,1,0,apex,,\n",
    "two points named": f"# CoordinateSystem = LPS\n{COLUMNS}" + 2 * "1,1,2,3,0,0,0,1,1,1,0,apex,,\n",
    "no named point": f"# CoordinateSystem = LPS\n{COLUMNS}",
}


@pytest.mark.parametrize(("words", "text"), BAD_FCSV.items(), ids=BAD_FCSV)
def test_an_old_file_that_cannot_be_used_is_refused_in_words(tmp_path: Path, words: str, text: str) -> None:
    path = tmp_path / "points.fcsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words) as caught:
        read_markups(path)
    assert str(path) in caught.value.message


def test_files_that_are_missing_or_not_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Cannot read"):
        read_markups(tmp_path / "none.mrk.json")
    (tmp_path / "image.mrk.json").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="not text"):
        read_markups(tmp_path / "image.mrk.json")
