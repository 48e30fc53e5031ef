"""STL and PLY surfaces as programs write them: read, or told what is unusual."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import read_mesh, write_mesh
from deeprecon.data.mesh.mesh import Mesh, open_edges
from deeprecon.data.mesh.tags import find_tags

CUBE = np.array([(i, j, k) for k in (0.0, 1.5) for j in (0.0, 1.5) for i in (-2.0, 1.5)]) * 10
QUADS = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
TRIANGLES = [corners for a, b, c, d in QUADS for corners in ((a, b, c), (a, c, d))]


def stl_text(faces=TRIANGLES, name: str = "cube", change: Callable[[str], str] = str) -> bytes:
    rows = [f"solid {name}"]
    for face in faces:
        rows += ["  facet normal 0 0 0", "    outer loop"]
        rows += [f"      vertex {x:e} {y:e} {z:e}" for x, y, z in CUBE[list(face)]]
        rows += ["    endloop", "  endfacet"]
    return change("\n".join([*rows, f"endsolid {name}", ""])).encode("latin-1")


def stl_binary(header: bytes = b"", count: int | None = None, faces=TRIANGLES) -> bytes:
    rows = b"".join(struct.pack("<12fH", 0, 0, 0, *CUBE[list(face)].ravel(), 0) for face in faces)
    return header.ljust(80, b"\0") + struct.pack("<I", len(faces) if count is None else count) + rows


def check_cube(path, faces: int = 12, nodes: int = 8) -> Mesh:
    mesh = Mesh(read_mesh(path).dataset, path.name)
    assert (mesh.n_points, mesh.n_cells) == (nodes, faces)
    assert open_edges(mesh) == 0
    np.testing.assert_allclose(np.sort(mesh.points, axis=0), np.sort(CUBE, axis=0))
    return mesh


@pytest.mark.parametrize(
    "content",
    [
        stl_text(),
        stl_text(name=""),
        stl_text(name="vertex 1 2 3 of my facet, endfacet"),
        stl_text(name="Blender; Münster, exportiert 2024 " + "x" * 300),
        stl_text(change=str.upper),
        stl_text(change=lambda text: text.replace("\n", "\r\n")),
        stl_text(change=lambda text: text.replace("\n", "\r")),
        stl_text(change=lambda text: text.replace("  ", "\t")),
        stl_text(change=lambda text: "\n\n; a comment\n" + text),
        stl_text(change=lambda text: text.replace("endsolid", "end solid").replace("endloop", "end loop")),
        stl_text(change=lambda text: text + "\n" * 900),
        stl_text(change=lambda text: text + "\0" * 512),
        stl_text(TRIANGLES[:5], "one") + stl_text(TRIANGLES[5:], "two"),
        stl_text(change=lambda text: text.replace("endsolid cube", "endsolid")),
        stl_text([*TRIANGLES, (0, 0, 1)]),
        stl_binary(),
        stl_binary(b"solid made by a scanner"),
        stl_binary(b"solid facet normal 0 0 0 outer loop"),
        stl_binary(b"COLOR=\xff\x00\x00\xff,MATERIAL="),
        stl_binary() + b"\0" * 3,
        stl_binary(faces=TRIANGLES[:5]) + stl_binary(faces=TRIANGLES[5:]),
        stl_binary(b"solid") + b"made with a trial version" * 40,
    ],
)
def test_stl_of_other_programs_is_read(tmp_path, content):
    (tmp_path / "cube.stl").write_bytes(content)
    check_cube(tmp_path / "cube.stl")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (stl_text()[:-200], "cut off or damaged"),
        (stl_text(change=lambda text: text.replace("endsolid cube", "")), "no endsolid"),
        (stl_text(QUADS), "facets that are no triangles"),
        (stl_text(change=lambda text: text.replace(".", ",")), "coordinates that are no numbers"),
        (stl_text([]), "cut off or damaged"),
        (stl_binary(count=13), "cut off or damaged"),
        (stl_binary(count=2**32 - 1), "cut off or damaged"),
        (stl_binary(count=0), "holds no mesh"),
        (b"solid", "cut off or damaged"),
        (b"", "cut off or damaged"),
    ],
)
def test_what_is_wrong_in_stl_is_told(tmp_path, content, words):
    (tmp_path / "cube.stl").write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_mesh(tmp_path / "cube.stl")
    assert "cube.stl" in caught.value.message
    assert caught.value.hint


def ply(
    kind: str = "ascii",
    vertex: str = "float x|float y|float z",
    face: str = "list uchar int vertex_indices",
    faces=TRIANGLES,
    lines: tuple[str, ...] = (),
    before: str = "",
    newline: str = "\n",
) -> bytes:
    """A cube; further properties hold 7 each, lists (7, 7).

    Args:
        lines: of the header after the format.
        before: an element of two rows before the vertices, as NAME|PROPERTY|...
    """
    names = [line.split()[-1] for line in vertex.split("|")]
    rows: list[tuple[str, list]] = []
    if before:
        rows += [(before.split("|", 1)[1], [None] * len(before.split("|")[1:]))] * 2
    rows += [(vertex, [dict(zip("xyz", point, strict=True)).get(name) for name in names]) for point in CUBE]
    rows += [(face, [each if "vertex" in line else None for line in face.split("|")]) for each in faces]
    header = ["ply", f"format {kind} 1.0", *lines]
    for name, count, text in [
        *([(before.split("|")[0], 2, before.split("|", 1)[1])] if before else []),
        ("vertex", len(CUBE), vertex),
        ("face", len(faces), face),
    ]:
        header += [f"element {name} {count}", *(f"property {line}" for line in text.split("|"))]
    body = [values_of(text, values) for text, values in rows]
    head = newline.join([*header, "end_header", ""]).encode()
    if kind == "ascii":
        return head + newline.join(" ".join(f"{value:g}" for _, value in row) for row in body).encode()
    order = ">" if "big" in kind else "<"
    return head + b"".join(np.array(value, order + code).tobytes() for row in body for code, value in row)


CODES = {"char": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"}
CODES |= {"int32": "i4", "float": "f4", "float32": "f4", "double": "f8", "float64": "f8"}


def values_of(text: str, values: list) -> list[tuple[str, float]]:
    """Types and values of one row."""
    found: list[tuple[str, float]] = []
    for line, value in zip(text.split("|"), values, strict=True):
        words = line.split()
        if words[0] == "list":
            entries = (7, 7) if value is None else value
            found += [(CODES[words[1]], len(entries)), *((CODES[words[2]], entry) for entry in entries)]
        else:
            found.append((CODES[words[0]], 7 if value is None else value))
    return found


KINDS = ("ascii", "binary_little_endian", "binary_big_endian")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"faces": QUADS},
        {"faces": [*TRIANGLES[:6], *QUADS[3:]]},
        {"face": "list uchar uint vertex_index"},
        {"face": "list int int vertex_indices"},
        {"face": "list uint8 int32 vertex_indices|list uchar float texcoord|int texnumber"},
        {"face": "list uchar float texcoord|list uchar int vertex_indices", "faces": [*TRIANGLES[:6], *QUADS[3:]]},
        {"face": "uchar red|uchar green|uchar blue|list ushort short vertex_indices|float quality"},
        {"face": "list uchar int vertex_indices|uchar red|uchar flags", "faces": [*TRIANGLES[:6], *QUADS[3:]]},
        {"vertex": "double x|double y|double z|uchar red|uchar green|uchar blue|uchar alpha"},
        {"vertex": "float nx|float ny|float nz|float32 x|float64 y|float z|float s|float t"},
        {"vertex": "float x|float y|float z|list uchar int neighbors"},
        {"lines": ("comment TextureFile face.png", "obj_info num_cols 512", "comment", "comment end_header is below")},
        {"before": "camera|float view_px|int viewport"},
        {"before": "material|list uchar int ids|float shine"},
        {"faces": [(0, 1), *TRIANGLES]},
        {"newline": "\r\n"},
        {"newline": "\r"},
    ],
)
def test_ply_of_other_programs_is_read(tmp_path, kind, options):
    (tmp_path / "cube.ply").write_bytes(ply(kind, **options))
    check_cube(tmp_path / "cube.ply", sum(len(face) > 2 for face in options.get("faces", TRIANGLES)))


@pytest.mark.parametrize("kind", KINDS)
def test_values_at_faces_are_kept(tmp_path, kind):
    face = "list uchar int vertex_indices|int region|float quality"
    (tmp_path / "cube.ply").write_bytes(ply(kind, face=face, faces=[*TRIANGLES[:6], *QUADS[3:]]))
    mesh = check_cube(tmp_path / "cube.ply", 9)
    assert find_tags(mesh).values.tolist() == [7] * 9
    write_mesh(tmp_path / "again.ply", mesh)
    again = check_cube(tmp_path / "again.ply", 9)
    assert find_tags(again).name == "region"
    assert again.dataset.GetCellData().GetArray("quality").GetValue(8) == 7


def test_colors_stay_bytes(tmp_path):
    vertex = "float x|float y|float z|uchar red|uchar green|uchar blue"
    (tmp_path / "cube.ply").write_bytes(ply(vertex=vertex))
    write_mesh(tmp_path / "again.ply", check_cube(tmp_path / "cube.ply"))
    assert b"property uchar red" in (tmp_path / "again.ply").read_bytes()
    assert check_cube(tmp_path / "again.ply").point_array("red").tolist() == [7] * 8


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (ply(before="tristrips|list int int vertex_indices"), "triangle strips, which are not read"),
        (ply(faces=[]), "holds no mesh"),
        (ply(face="list uchar float texcoord"), "holds no mesh"),
        (ply(vertex="float x|float y|float depth"), "cut off or damaged"),
        (ply().replace(b"float z", b"half z"), "'property half z' of its header is not known"),
        (ply(lines=("elements 3",)), "'elements 3' of its header is not known"),
        (ply().replace(b"format ascii 1.0\n", b""), "text or binary"),
        (ply().replace(b"element vertex 8", b"element vertex 999999999999"), "cut off or damaged"),
        (ply(KINDS[1]).replace(b"element face 12", b"element face 999999999999"), "cut off or damaged"),
        (ply(KINDS[1], faces=[*TRIANGLES, (0, 1, 99)]), "nodes that it does not have"),
        (ply(KINDS[1], "float x|float y|float z|list int int a")[:-70], "cut off or damaged"),
        (b"ply\nformat ascii 1.0\n", "header is cut off"),
        (b"Ply of wood", "not a PLY file"),
    ],
)
def test_what_is_wrong_in_ply_is_told(tmp_path, content, words):
    (tmp_path / "cube.ply").write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_mesh(tmp_path / "cube.ply")
    assert "cube.ply" in caught.value.message
    assert caught.value.hint
