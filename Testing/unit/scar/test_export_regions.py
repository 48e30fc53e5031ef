"""Regions of the healthy wall in exports, and what openCARP needs beside the mesh."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import write_mesh
from deeprecon.data.mesh.mesh import cell_means
from deeprecon.data.segmentation import Segment, Segmentation, write_segmentation
from deeprecon.scar.parameters import ExportParameters, MeshFormat
from deeprecon.scar.tissue_tags import parse_tissue_tags

DOCUMENTED = (
    r"meshname|tend|dt|spacedt|timedt|parab_solve|num_phys_regions|num_imp_regions|num_gregions|num_stim|num_LATs|"
    r"phys_region\[\d+\]\.(name|ptype|num_IDs|ID\[\d+\])|imp_region\[\d+\]\.(name|im|num_IDs|ID\[\d+\])|"
    r"gregion\[\d+\]\.(name|num_IDs|ID\[\d+\]|g_[ie][ltn])|"
    r"stim\[\d+\]\.(name|crct\.type|pulse\.strength|ptcl\.(start|duration|npls)|elec\.vtx_file)|"
    r"lats\[\d+\]\.(ID|all|measurand|mode|threshold)"
)
"""Parameters of openCARP that its manual lists."""


@pytest.fixture
def result(tmp_path, patient):
    """A result with scar at the top of the right half, the depth by x and the segments by y."""
    x, y, z = patient.mesh.points.T

    def share(values):
        return (values - values.min()) / np.ptp(values)

    scar = np.where((share(z) > 0.6) & (share(x) > 0.5), 1.0, 0.0)
    arrays = {
        "scar_probability": scar,
        "scar_uncertainty": 0 * x,
        "core_probability": np.where(share(z) > 0.8, scar, 0),
        "transmural_depth": share(x),
        "aha_segment": np.floor(share(y) * 16.99) + 1,
    }
    write_mesh(tmp_path / "mesh.vtu", patient.mesh.with_point_arrays(arrays), "mm", "lps")
    made = {"outputs": {"mesh": {"path": "mesh.vtu"}}, "metrics": {"mesh_unit": "mm", "mesh_frame": "lps"}}
    (tmp_path / "result.json").write_text(json.dumps(made), encoding="utf-8")
    return tmp_path / "mesh.vtu", arrays


def tags_of(folder):
    return np.array([int(line.split()[-1]) for line in (folder / "mesh.elem").read_text().splitlines()[1:]])


def test_scar_comes_before_segments_and_these_before_layers(result, patient, done, result_of):
    path, arrays = result
    output = done("export", inputs={"mesh": path}, tags=["endo=301", "mid=302", "epi=303", "aha7=207"])
    tags = tags_of(output)
    depth = cell_means(patient.mesh, arrays["transmural_depth"])
    scar = cell_means(patient.mesh, arrays["scar_probability"]) > 0.5
    seventh = cell_means(patient.mesh, arrays["aha_segment"] == 7) > 0.5
    assert set(tags) == {100, 101, 207, 301, 302, 303}
    assert np.isin(tags[scar], (100, 101)).all()
    assert (tags[seventh & ~scar] == 207).all()
    layers = np.select([depth < 1 / 3, depth < 2 / 3], [301, 302], 303)
    other = ~scar & (tags != 207)
    np.testing.assert_array_equal(tags[other], layers[other])
    assert result_of(output)["metrics"]["aha7_elements"] == (tags == 207).sum()


def test_a_drawn_segment_comes_before_a_segment_of_the_aha(result, patient, tmp_path, done):
    path, arrays = result
    low, high = patient.mesh.points.min(axis=0) - 1, patient.mesh.points.max(axis=0) + 1
    shape = np.ceil((high - low)[::-1]).astype(int) + 1
    mask = np.zeros(shape, bool)
    mask[:, :, : shape[2] // 2] = True
    affine = np.eye(4)
    affine[:3, 3] = low
    drawn = Segmentation((Segment("Papillary Muscle", mask), Segment("Unused", ~mask)), affine)
    write_segmentation(tmp_path / "drawn.seg.nrrd", drawn)
    inputs = {"mesh": path, "segmentation": tmp_path / "drawn.seg.nrrd"}
    tags = tags_of(done("export", inputs=inputs, tags=["papillary_muscle=400", "aha7=207", "aha3=203"]))
    middle = cell_means(patient.mesh, patient.mesh.points[:, 0])
    scar = cell_means(patient.mesh, arrays["scar_probability"]) > 0.5
    inside = middle < low[0] + shape[2] // 2 - 1.5
    assert (tags[inside & ~scar] == 400).all()
    assert not (tags[middle > low[0] + shape[2] // 2 + 0.5] == 400).any()
    assert {203, 207} & set(tags)


def test_the_experiment_has_the_regions_of_the_elements(result, done):
    path, arrays = result
    output = done("export", inputs={"mesh": path}, tags=["aha7=207"], experiment=True)
    lines = [line.split("#")[0].strip() for line in (output / "mesh.par").read_text().splitlines()]
    values = dict(re.split(r"\s*=\s*", line, maxsplit=1) for line in lines if line)
    assert [name for name in values if not re.fullmatch(DOCUMENTED, name)] == []

    def ids(region):
        return {int(values[f"{region}.ID[{number}]"]) for number in range(int(values[f"{region}.num_IDs"]))}

    present = set(tags_of(output))
    assert ids("phys_region[0]") == present - {101}, "core insulates"
    assert ids("imp_region[0]") == ids("gregion[0]") == present - {100, 101}
    assert ids("imp_region[1]") == ids("gregion[1]") == {100}
    assert float(values["gregion[1].g_il"]) == pytest.approx(float(values["gregion[0].g_il"]) / 4)
    assert values["gregion[1].g_el"] == values["gregion[0].g_el"]
    site = output / values["stim[0].elec.vtx_file"].strip('"')
    count, kind, *nodes = site.read_text().split()
    assert (int(count), kind) == (len(nodes), "intra")
    segment = int(re.search(r"\d+", site.stem)[0])
    assert segment in arrays["aha_segment"][np.array(nodes, int)]
    assert len(list(output.glob("site_*.vtx"))) > 8
    compile((output / "run.py").read_text(), "run.py", "exec")
    assert site.name in (output / "run.py").read_text()


def test_without_known_segments_there_are_no_sites_and_it_is_said(tmp_path, patient, done, warnings_of):
    scar = np.zeros(patient.mesh.n_points)
    mesh = patient.mesh.with_point_arrays({"scar_probability": scar, "scar_uncertainty": scar})
    write_mesh(tmp_path / "mesh.vtu", mesh, "mm", "lps")
    output = done("export", inputs={"mesh": tmp_path / "mesh.vtu"}, experiment=True)
    assert "num_stim" not in (output / "mesh.par").read_text()
    assert not list(output.glob("*.vtx"))
    assert any("No stimulus sites" in text for text in warnings_of(output))


# ---- bad input


def test_tags_are_read_and_wrong_ones_refused():
    found = parse_tissue_tags(("aha7=207 endo=301", "my_segment=5"), ["My segment"])
    assert found.regions == (("aha7", 207), ("endo", 301), ("my_segment", 5))
    for wrong in ("aha18=3", "aha0=3", "inner=3", "aha7=", "endo=100"):
        with pytest.raises(InputError):
            parse_tissue_tags((wrong,))
    assert ExportParameters(experiment=True, format=MeshFormat.VTU).validate() != []
    assert ExportParameters(tags=("aha7=x",)).validate() != []


def test_regions_that_the_result_does_not_know_are_refused(tmp_path, patient, result, error_of):
    scar = np.zeros(patient.mesh.n_points)
    mesh = patient.mesh.with_point_arrays({"scar_probability": scar, "scar_uncertainty": scar})
    write_mesh(tmp_path / "plain.vtu", mesh, "mm", "lps")
    inputs = {"mesh": tmp_path / "plain.vtu"}
    assert "scar fibers" in error_of("export", name="depth", inputs=inputs, tags=["endo=301"])
    assert "17 segments" in error_of("export", name="aha", inputs=inputs, tags=["aha7=207"])
    assert "Cannot understand the tag 'inner=5'" in error_of("export", name="word", inputs=inputs, tags=["inner=5"])
    drawn = Segmentation((Segment("Papillary Muscle", np.ones((2, 2, 2), bool)),), np.eye(4), "drawn.seg.nrrd")
    write_segmentation(tmp_path / "drawn.seg.nrrd", drawn)
    both = inputs | {"segmentation": tmp_path / "drawn.seg.nrrd"}
    assert "No tag names a segment" in error_of("export", name="none", inputs=both)
    assert "papillary_muscle" in error_of("export", name="typo", inputs=both, tags=["papilary=4"])
