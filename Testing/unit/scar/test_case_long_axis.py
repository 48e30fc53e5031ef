"""Long-axis slices and single slices in the files of one patient."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from deeprecon.scar.observe.observations import observe
from deeprecon.scar.simulate.hearts import Phantom, sample_case, write_case

from .drawn_cases import read, saved


@pytest.fixture(scope="module")
def views() -> Phantom:
    """A stack and the three long-axis slices."""
    return sample_case(spacing=20, thickness=8, pixel=2, node_spacing=5, long_axis=3)


@pytest.mark.parametrize("kind", ["nifti", "nrrd", "dicom"])
def test_stack_and_long_axis_slices_agree_with_the_analytic_heart(kind, tmp_path, views):
    paths = write_case(views, tmp_path, dicom=kind == "dicom")
    marks = ("", "_two_chamber", "_four_chamber", "_three_chamber")

    def several(name: str) -> tuple[Path, ...]:
        return tuple(paths[name + mark] for mark in marks)

    if kind == "nrrd":
        for mark, stack, found in zip(marks, views.stacks, views.scans, strict=True):
            for name, share in (("myocardium", stack.wall), ("scar", found.scar)):
                paths[name + mark] = saved(tmp_path / f"{name}{mark}.nrrd", share, stack.ijk_to_ras, stack.thickness)
    if kind == "dicom":
        case = read({"myocardium": several("segmentation"), "lge": several("dicom"), "scar": several("segmentation")})
        assert [images.lge.array.shape for images in case.case.stacks] == [stack.wall.shape for stack in case.stacks]
    else:
        case = read(
            {"myocardium": several("myocardium"), "scar": several("scar")},
            slice_thickness=8.0 if kind == "nifti" else None,
        )
    assert [len(stack.wall) for stack in case.stacks] == [len(stack.wall) for stack in views.stacks]
    assert {stack.thickness for stack in case.stacks} == {8}
    found = observe(case.stacks)
    assert len(found.planes) == sum(len(stack.wall) for stack in views.stacks)
    steps = np.array([[plane.u, plane.v, plane.normal * plane.thickness] for plane in found.planes])[found.slice_id]
    inside = np.random.default_rng(1).uniform(-0.5, 0.5, (len(found), 100, 3)) @ steps
    points = (found.centers[:, None] + inside).reshape(-1, 3)
    wall = views.wall(points).reshape(len(found), -1).mean(axis=1)
    scar = views.scar(points).reshape(len(found), -1).mean(axis=1)
    for index in range(len(found.planes)):
        on_slice = found.slice_id == index
        if on_slice.sum() < 30:
            continue
        exact = kind != "dicom"  # contours are whole pixels
        assert np.abs(found.wall - wall)[on_slice].mean() < (0.04 if exact else 0.35)
        assert (found.wall * found.y)[on_slice].sum() == pytest.approx(
            scar[on_slice].sum(), rel=0.05 if exact else 0.3, abs=1 if exact else 5
        )
        sure = on_slice & (wall > 0.99)
        assert np.abs(found.y - scar)[sure].mean() < (0.02 if exact else 0.1)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_single_slice_is_one_slice_in_every_order_of_its_axes(order, tmp_path, wall, scar):
    # a voxel deeper than the slice is thick, or thinner than a pixel, changes nothing
    for depth in (0.5, 9.0):
        affine = np.eye(4)
        affine[:3, :3] = (np.array([[0.6, 0.0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]]) * [1.5, 1.5, depth])[:, list(order)]
        axes = tuple(2 - order[2 - axis] for axis in range(3))
        given = {
            name: saved(tmp_path / f"{name}.nii.gz", np.transpose(mask[1:2], axes).astype(np.uint8), affine)
            for name, mask in (("myocardium", wall), ("scar", scar))
        }
        (stack,) = read(given, slice_thickness=8.0).stacks
        assert len(stack.wall) == 1
        assert abs(stack.normal @ [0.8, 0, 0.6]) == pytest.approx(1, abs=1e-4)
        centers = observe([stack]).centers
        expected = np.argwhere(wall[1:2])[:, ::-1][:, list(order)] @ affine[:3, :3].T
        np.testing.assert_allclose(sorted(map(tuple, centers)), sorted(map(tuple, expected)), atol=1e-3)
