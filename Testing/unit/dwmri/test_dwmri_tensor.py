"""The tensor fit, its maps, and the check of the gradient table, on tensors that are known."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.data.diffusion.files import read_dwi
from deeprecon.data.diffusion.gradients import GradientTable, gradient_table
from deeprecon.dwmri.measure.fiber_coherence import better_flip, fiber_coherence
from deeprecon.dwmri.measure.tensor import fit_tensor, tensor_volumes
from deeprecon.dwmri.observe.mask import find_mask
from deeprecon.dwmri.simulate.head import acquisition, make_phantom

TABLE = acquisition(2, [(1000.0, 12)])
EIGENVALUES = np.array([1.7e-3, 0.5e-3, 0.3e-3])


def signal(
    axes: np.ndarray, table: GradientTable = TABLE, s0: float = 500.0, eigenvalues: np.ndarray = EIGENVALUES
) -> np.ndarray:
    """(1, 1, n, V) of tensors with these principal axes (n, 3)."""
    result = []
    for axis in axes:
        other = np.linalg.svd(axis[None])[2][1:]
        tensor = sum(value * np.outer(v, v) for value, v in zip(eigenvalues, [axis, *other], strict=True))
        g = table.directions
        result.append(s0 * np.exp(-table.bvals * np.einsum("vi,ij,vj->v", g, tensor, g)))
    return np.array(result)[None, None]


def test_maps_of_a_known_tensor_are_exact():
    axes = np.array([[1.0, 0, 0], [0, 0.6, 0.8], [0.48, 0.6, 0.64]])
    maps = fit_tensor(signal(axes), TABLE, np.ones((1, 1, 3), bool))
    mean = EIGENVALUES.mean()
    fa = np.sqrt(1.5 * ((EIGENVALUES - mean) ** 2).sum() / (EIGENVALUES**2).sum())
    np.testing.assert_allclose(maps.fa, fa, atol=1e-4)
    np.testing.assert_allclose(maps.md, mean, rtol=1e-4)
    np.testing.assert_allclose(np.abs((maps.direction[0, 0] * axes).sum(axis=1)), 1, atol=1e-4)
    np.testing.assert_allclose(maps.color[0, 0, 1], fa * np.array([0, 0.6, 0.8]), atol=1e-3)


def test_a_signal_that_rises_with_b_counts_as_no_diffusion_there():
    measured, counted = np.array([1.7e-3, 0.3e-3, -0.2e-3]), np.array([1.7e-3, 0.3e-3, 0])
    maps = fit_tensor(signal(np.array([[0, 0.6, 0.8]]), eigenvalues=measured), TABLE, np.ones((1, 1, 1), bool))
    fa = np.sqrt(1.5 * ((counted - counted.mean()) ** 2).sum() / (counted**2).sum())
    np.testing.assert_allclose(maps.md, counted.mean(), rtol=1e-4)
    np.testing.assert_allclose(maps.fa, fa, atol=1e-4)


def test_the_fit_uses_the_small_b_values_of_b0():
    directions = TABLE.directions.copy()
    directions[TABLE.b0] = [1, 0, 0], [0, 0.6, 0.8]
    table = gradient_table(np.where(TABLE.b0, [20.0 + 30 * (n > 0) for n in range(14)], TABLE.bvals), directions)
    maps = fit_tensor(signal(np.array([[0, 0.6, 0.8]]), table), table, np.ones((1, 1, 1), bool))
    np.testing.assert_allclose(maps.md, EIGENVALUES.mean(), rtol=1e-4)


def test_the_fit_agrees_with_dipys(head):
    dti = pytest.importorskip("dipy.reconst.dti")
    from dipy.core.gradients import gradient_table

    table = head.noisy.gradients
    array = np.maximum(head.noisy.array, 1e-3)
    fitted = dti.TensorModel(gradient_table(table.bvals, bvecs=table.directions), fit_method="WLS").fit(
        array, mask=head.mask
    )
    maps = fit_tensor(array, table, head.mask)
    np.testing.assert_allclose(maps.fa[head.mask], fitted.fa[head.mask], atol=0.02)
    np.testing.assert_allclose(np.median(np.abs(maps.md - fitted.md)[head.mask]), 0, atol=1e-6)


def test_nothing_is_fitted_where_the_table_does_not_determine_a_tensor():
    assert tensor_volumes(acquisition(1, [(1000.0, 5)])) is None
    without_b0 = acquisition(1, [(1000.0, 12)]).subset(np.arange(1, 13))
    assert fit_tensor(np.ones((1, 1, 1, 12)), without_b0, np.ones((1, 1, 1), bool)) is None


def test_high_b_values_are_left_out_where_the_others_suffice():
    table = acquisition(2, [(1000.0, 12), (3000.0, 20)])
    np.testing.assert_array_equal(tensor_volumes(table), table.bvals <= 1600)
    assert tensor_volumes(acquisition(2, [(3000.0, 20)])).all()


def test_zeros_and_an_empty_mask_give_finite_maps():
    maps = fit_tensor(np.zeros((1, 1, 2, 14)), TABLE, np.ones((1, 1, 2), bool))
    assert np.isfinite(maps.fa).all()
    assert not fit_tensor(np.ones((1, 1, 2, 14)), TABLE, np.zeros((1, 1, 2), bool)).fa.any()


@pytest.mark.parametrize(("axis", "name"), [(0, "left-right"), (1, "front-back"), (2, "up-down")])
def test_a_flipped_table_is_found(axis, name):
    made = make_phantom((16, 32, 32), snr=0)
    maps = fit_tensor(made.clean.array, made.clean.gradients, made.mask)
    right = fiber_coherence(maps, made.mask, made.clean.ijk_to_ras)
    assert better_flip(right) == ""
    flipped = made.clean.gradients.directions * np.where(np.arange(3) == axis, -1, 1)
    maps = fit_tensor(made.clean.array, GradientTable(made.clean.gradients.bvals, flipped), made.mask)
    wrong = fiber_coherence(maps, made.mask, made.clean.ijk_to_ras)
    assert wrong["as given"] < right["as given"]
    np.testing.assert_allclose(wrong[name], right["as given"], rtol=1e-2)


@pytest.mark.parametrize("name", ["siemens_sag_b2000", "philips_ax_b1000"])
def test_the_tables_of_real_scans_have_the_highest_fiber_coherence(shared_data, name):
    scan = read_dwi(shared_data / "dwi" / name / "dwi.nii.gz")
    middle = slice(len(scan.array) // 2 - 4, len(scan.array) // 2 + 4)
    mask = find_mask(scan)[middle]
    found = fiber_coherence(fit_tensor(scan.array[middle], scan.gradients, mask), mask, scan.ijk_to_ras)
    assert max(found, key=found.get) == "as given"


def test_few_clear_voxels_give_no_fiber_coherence(head):
    maps = fit_tensor(head.clean.array, head.clean.gradients, head.mask)
    assert fiber_coherence(maps, np.zeros_like(head.mask), head.clean.ijk_to_ras) == {}
    assert better_flip({}) == ""
