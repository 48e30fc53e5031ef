"""From nodes to images of the wave's contrast in the scene, at the right place, with the ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import slicer
import vtk

from deeprecon.data.errors import InputError
from deeprecon.data.segmentation import Segment, Segmentation, write_segmentation
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.scattering.parameters import Method, PrepareParameters, ReconstructParameters
from deeprecon.scene.common.provenance import provenance_of
from deeprecon.scene.nodes.segmentations import node_from_segmentation
from deeprecon.scene.nodes.volumes import node_from_volume, volume_from_node
from deeprecon.scene.scattering.batch import exit_code
from deeprecon.scene.scattering.job import slice_number, write_reconstruction, write_simulation
from deeprecon.scene.scattering.run import reconstruct_node, run_reconstruction

SPEEDS = ("1=1450", "2=1580")
SIMULATION = PrepareParameters(k=3.0, speeds=SPEEDS)
RECONSTRUCTION = ReconstructParameters(Method.TIKHONOV, regularization=0.3, grid=32, misfits=0)
AFFINE = np.array([[0.0, 1.0, 0.0, -20.0], [-1.0, 0.0, 0.0, 40.0], [0.0, 0.0, 4.0, 10.0], [0.0, 0.0, 0.0, 1.0]])
"""Turned by a right angle about the body's axis: i runs to posterior, j to the right; 1 x 1 x 4 mm."""


def labels() -> np.ndarray:
    """A cylinder of 15 mm with a rod off its axis, in 2 of 4 slices."""
    array = np.zeros((4, 48, 40), np.uint8)
    j, i = np.meshgrid(np.arange(48) - 24, np.arange(40) - 20, indexing="ij")
    array[1:3, np.hypot(i, j) < 15] = 1
    array[1:3, np.hypot(i - 8, j + 2) < 3.5] = 2
    return array


def center_of(volume: Volume, mask: np.ndarray) -> np.ndarray:
    """Mean place of some voxels in RAS mm."""
    return volume.to_ras(np.argwhere(mask)[:, ::-1].mean(axis=0))


def check_place(nodes: Any, moved: tuple[float, float, float] = (0, 0, 0)) -> None:
    given = Volume(labels(), AFFINE)
    truth = volume_from_node(nodes["truth"])
    assert truth.array.shape == (2, 32, 32)
    assert truth.spacing[2] == pytest.approx(4.0)
    assert truth.spacing[0] == pytest.approx(truth.spacing[1])
    rod = center_of(truth, np.asarray(truth.array) < -0.06)
    np.testing.assert_allclose(rod, center_of(given, labels() == 2) + moved, atol=0.6)
    body = center_of(truth, np.asarray(truth.array) != 0)
    np.testing.assert_allclose(body, center_of(given, labels() > 0) + moved, atol=0.6)
    area = (np.asarray(truth.array) < -0.06).sum() * truth.spacing[0] ** 2
    assert area == pytest.approx((labels() == 2).sum(), rel=0.2)


def test_labels_are_simulated_and_reconstructed_at_their_place(scene: Any, tmp_path: Path) -> None:
    node = node_from_volume(Volume(labels(), AFFINE), "Arm")
    result = reconstruct_node(node, tmp_path, SIMULATION, RECONSTRUCTION, device="cpu")
    assert set(result.nodes) == {"contrast", "truth", "difference", "speed", "table"}
    assert result.nodes["contrast"].GetName() == "Arm scattering contrast"
    check_place(result.nodes)
    contrast, truth, difference, speed = (
        volume_from_node(result.nodes[role]) for role in ("contrast", "truth", "difference", "speed")
    )
    for volume in (contrast, difference, speed):
        np.testing.assert_allclose(volume.ijk_to_ras, truth.ijk_to_ras, atol=1e-9)
    np.testing.assert_allclose(difference.array, np.asarray(contrast.array) - np.asarray(truth.array), atol=1e-6)
    assert np.corrcoef(np.ravel(contrast.array), np.ravel(truth.array))[0, 1] > 0.5
    assert speed.array[0, 0, 0] == pytest.approx(1480)  # the corner lies outside of the measured disc
    assert "2 slices reconstructed with a relative error of 0." in result.sentence
    assert result.report.is_file()
    assert provenance_of(result.nodes["contrast"])["verb"] == "reconstruct"
    windows = {role: result.nodes[role].GetDisplayNode() for role in ("contrast", "truth", "difference")}
    assert windows["contrast"].GetWindowLevelMin() == windows["truth"].GetWindowLevelMin() < 0
    assert windows["contrast"].GetWindowLevelMax() == windows["truth"].GetWindowLevelMax() > 0
    assert windows["difference"].GetLevel() == pytest.approx(0), "no difference is gray"


def test_a_segmentation_under_a_transform_is_in_world_coordinates(scene: Any, tmp_path: Path) -> None:
    segments = tuple(Segment(name, labels() == value) for name, value in (("Fat", 1), ("Muscle", 2)))
    node = node_from_segmentation(Segmentation(segments, AFFINE), "Tissue")
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    for axis, shift in enumerate((7.0, -3.0, 11.0)):
        matrix.SetElement(axis, 3, shift)
    transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    simulation = PrepareParameters(k=3.0, speeds=("Fat=1450", "Muscle=1580"))
    result = reconstruct_node(node, tmp_path, simulation, RECONSTRUCTION, device="cpu")
    check_place(result.nodes, (7.0, -3.0, 11.0))


def test_one_slice_can_be_chosen_by_a_point(scene: Any, tmp_path: Path) -> None:
    node = node_from_volume(Volume(labels(), AFFINE), "Arm")
    assert slice_number(node, (0, 20, 17.5)) == 3  # 10 + 2 x 4 mm
    with pytest.raises(InputError, match="no slice at this place"):
        slice_number(node, (0, 20, 100))
    simulation = PrepareParameters(k=3.0, speeds=SPEEDS, slices=(slice_number(node, (0, 20, 17.5)),))
    nodes = reconstruct_node(node, tmp_path, simulation, RECONSTRUCTION, device="cpu").nodes
    truth = volume_from_node(nodes["truth"])
    assert len(truth.array) == 1
    assert truth.to_ras([0, 0, 0])[2] == pytest.approx(18.0)


@pytest.mark.parametrize(
    ("simulation", "reconstruction", "words"),
    [
        (PrepareParameters(k=3.0, speeds=("7=1450",)), RECONSTRUCTION, "no label or segment 7"),
        (PrepareParameters(k=3.0, speeds=("1",)), RECONSTRUCTION, "Write NAME=SPEED"),
        (SIMULATION, ReconstructParameters(Method.BCRNET), "needs a trained network"),
    ],
)
def test_a_failure_is_reported_and_does_not_change_the_scene(
    simulation: PrepareParameters, reconstruction: ReconstructParameters, words: str, scene: Any, tmp_path: Path
) -> None:
    node = node_from_volume(Volume(labels(), AFFINE), "Arm")
    before = scene.GetNumberOfNodes()
    with pytest.raises(InputError, match=words):
        reconstruct_node(node, tmp_path, simulation, reconstruction, device="cpu")
    assert scene.GetNumberOfNodes() == before


def test_a_network_of_another_wave_number_is_refused_before_anything_is_simulated(scene: Any, tmp_path: Path) -> None:
    import torch

    from deeprecon.scattering.fit.network import Model, Normalization, write_model
    from deeprecon.scattering.networks.bcrnet import Architecture, BcrNet

    torch.manual_seed(0)
    model = Model(BcrNet(Architecture(32, 34, 12, 2, 2, 1, 2)), Normalization(1.0, 1.0), 8.0, (0.0, 0.8))
    write_model(tmp_path / "bundle", model, "nothing", {})
    node = node_from_volume(Volume(labels(), AFFINE), "Arm")
    method = ReconstructParameters(Method.BCRNET)
    with pytest.raises(InputError, match="trained for k = 8"):
        reconstruct_node(node, tmp_path / "jobs", SIMULATION, method, tmp_path / "bundle", "cpu")
    assert not (tmp_path / "jobs").exists()


def test_a_network_that_explains_the_data_worse_than_tikhonov_is_the_first_sentence(scene: Any, tmp_path: Path) -> None:
    import torch

    from deeprecon.scattering.fit.network import Model, Normalization, write_model
    from deeprecon.scattering.networks.bcrnet import Architecture, BcrNet

    torch.manual_seed(0)
    model = Model(BcrNet(Architecture(64, 66, 12, 2, 2, 1, 2)), Normalization(0.1, 1.0), 3.0, (0.0, 0.8))
    write_model(tmp_path / "bundle", model, "nothing", {})
    node = node_from_volume(Volume(labels(), AFFINE), "Arm")
    method = ReconstructParameters(Method.BCRNET, grid=32, misfits=1)
    result = reconstruct_node(node, tmp_path / "jobs", SIMULATION, method, tmp_path / "bundle", "cpu")
    assert result.sentence.startswith("data.h5: The network is assumed to be valid, but its images of 1 of 1 compared")
    assert "(assumed: network-misfit) 2 slices reconstructed" in result.sentence


def test_a_contradiction_is_told_with_its_code_and_can_be_accepted(scene: Any, tmp_path: Path, capsys: Any) -> None:
    """The job of the simulation is the real one; its far fields are changed before they are reconstructed."""
    node = node_from_volume(Volume(labels(), AFFINE), "Arm")
    reconstruct_node(node, tmp_path, SIMULATION, RECONSTRUCTION, device="cpu")
    data = tmp_path / "simulation" / "output" / "data.h5"
    with h5py.File(data, "a") as file:
        for part in ("real", "imag"):
            square = file[f"farfield.{part}"][()].reshape(64, 64, -1)
            file[f"farfield.{part}"][...] = np.roll(square, 32, axis=1).reshape(64 * 64, -1)
    for name, accept in (("refused", ()), ("accepted", ("incidence-reversed",))):
        write_reconstruction(tmp_path / name, data, RECONSTRUCTION, device="cpu", accept=accept)
    with pytest.raises(InputError, match=r"by 180 degrees.*To continue all the same, accept incidence-reversed"):
        run_reconstruction(tmp_path / "refused", node)
    result = run_reconstruction(tmp_path / "accepted", node)
    assert "(accepted: incidence-reversed)" in result.sentence


def test_a_volume_without_image_is_refused(scene: Any, tmp_path: Path) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Nothing")
    with pytest.raises(InputError, match="Nothing holds no image"):
        write_simulation(tmp_path, node, SIMULATION)


def test_the_batch_script_loads_runs_and_makes_nodes(scene: Any, tmp_path: Path, capsys: Any) -> None:
    segments = tuple(Segment(name, labels() == value) for name, value in (("Fat", 1), ("Muscle", 2)))
    write_segmentation(tmp_path / "case.seg.nrrd", Segmentation(segments, AFFINE))
    options = ["--k", "3", "--slices", "2", "--device", "cpu", "--regularization", "0.3", "--grid", "32"]
    names = ["--volume", str(tmp_path / "case.seg.nrrd"), "--output", str(tmp_path / "out")]
    assert exit_code([*names, "--speeds", "Fat=1450", "Muscle=1580", *options]) == 0
    assert "1 slice reconstructed" in capsys.readouterr().out
    found = slicer.mrmlScene.GetNodesByName("case.seg.nrrd scattering difference")
    assert found.GetNumberOfItems() == 1


def test_the_batch_script_prints_errors(scene: Any, tmp_path: Path, capsys: Any) -> None:
    write_volume(tmp_path / "labels.nrrd", Volume(labels(), AFFINE))
    names = ["--volume", str(tmp_path / "labels.nrrd"), "--output", str(tmp_path / "out")]
    assert exit_code([*names, "--speeds", "9=1450", "--device", "cpu"]) == 2
    assert "no label or segment 9" in capsys.readouterr().err
    assert exit_code(["--output", "x"]) == 2


def test_measured_fields_become_a_volume_and_a_misfit_chart(scene: Any, tmp_path: Path, capsys: Any) -> None:
    from deeprecon.scattering.physics.arrangement import Arrangement
    from deeprecon.scattering.physics.forward_model import ForwardModel
    from deeprecon.scattering.physics.region import Region
    from deeprecon.scattering.read.scattered_fields import Band, ScatteredFields
    from deeprecon.scattering.write.field_file import write_field_file

    angle = 2 * np.pi * np.arange(24) / 24
    places = 0.3 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    arrangement = Arrangement(places[::6], np.broadcast_to(places, (4, 24, 2))[:, 1::2])
    region = Region(np.zeros(2), 0.1, 24)
    x, y = region.points().T
    q = (0.5 * (np.hypot(x - 0.02, y) < 0.02)).reshape(region.shape)
    data = ForwardModel(2 * np.pi * 2e9 / 299792458, arrangement, region).scattered(q)
    fields = ScatteredFields(
        arrangement, (Band(2e9, data, None, np.ones(data.shape, bool)),), calibrated=True, side=0.1
    )
    write_field_file(tmp_path / "fields.h5", fields)
    options = ["--method", "fullwave", "--grid", "24", "--steps", "8", "--device", "cpu"]
    assert exit_code(["--data", str(tmp_path / "fields.h5"), "--output", str(tmp_path / "out"), *options]) == 0
    assert "Reconstructed from 1 frequency with a data misfit of 0." in capsys.readouterr().out
    node = slicer.util.getNode("Wave scattering contrast")
    volume = volume_from_node(node)
    assert volume.array.shape == (1, 24, 24)
    weights = np.asarray(volume.array) > 0.5 * np.max(volume.array)
    np.testing.assert_allclose(center_of(volume, weights), [20, 0, 0], atol=5)  # mm, x to the right
    assert slicer.util.getNode("Wave scattering misfit").IsA("vtkMRMLPlotChartNode")
