"""The verbs of `scar` as functions of Python: `deeprecon.scar.reconstruct` and the others."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.calls.call import call
from deeprecon.calls.result import Result
from deeprecon.calls.signature import documented
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.segmentation import Segmentation, read_segmentation
from deeprecon.scar.read.result import read_result, read_ventricles


class ScarMap(Result):
    """Scar at the nodes of a heart mesh; see `deeprecon.Result` for what all results have."""

    @cached_property
    def mesh(self) -> Mesh:
        """The heart in RAS mm with an array at its nodes for each figure, in the order of the given mesh."""
        return read_result(self.outputs["mesh"]).whole

    @property
    def probability(self) -> npt.NDArray[np.float32]:
        """(N,) probability of scar at the nodes, 0 to 1; NaN at nodes that are not wall."""
        return np.asarray(self.mesh.point_array("scar_probability"), np.float32)

    @property
    def uncertainty(self) -> npt.NDArray[np.float32]:
        """(N,) standard deviation of the probability at the nodes."""
        return np.asarray(self.mesh.point_array("scar_uncertainty"), np.float32)


class Reconstruction(ScarMap):
    """A reconstruction of scar from slices."""

    @cached_property
    def segmentation(self) -> Segmentation:
        """Wall, scar and core as segments on a grid of voxels, (k, j, i) each."""
        return read_segmentation(self.outputs["segmentation"])


@documented("scar")
def reconstruct(**values: Any) -> Reconstruction:
    """Scar probability at every node of a heart mesh, from the slices of one patient.

    Images are `Volume` objects (array (k, j, i) with an affine from voxels to RAS mm) or files, regions are
    `Segmentation` objects, label volumes or files, and the heart is a `Mesh` in RAS mm or a file.

    Returns
    -------
    Reconstruction
        `mesh` with `probability` and `uncertainty` (N,) at its nodes, `segmentation`, and `figures` such as
        ``percent_of_wall`` and ``mass_g`` of the scar.

    Examples
    --------
    >>> import deeprecon
    >>> case = deeprecon.scar.phantom(spacing=16, pixel=2.5, node_spacing=4)
    >>> found = deeprecon.scar.reconstruct(
    ...     mesh=case.outputs["mesh"], lge=case.outputs["lge"], myocardium=case.outputs["segmentation"],
    ...     method="interpolation",
    ... )
    >>> found.probability.shape == (found.mesh.n_points,)
    True
    >>> 10 < found.figures["percent_of_wall"] < 30
    True
    """
    return call(Reconstruction, "scar", "reconstruct", values)


@documented("scar")
def cross_validate(**values: Any) -> Result:
    """Hide each slice in turn and predict it from the others, by the chosen method and by every interpolation.

    Returns
    -------
    Result
        `figures` has the Dice coefficient of each method, such as ``dice_linear``; the table of slices is the output
        ``slices``.
    """
    return call(Result, "scar", "cross-validate", values)


@documented("scar")
def prepare(**values: Any) -> Result:
    """Read and check a case, and write its observations.

    Returns
    -------
    Result
        The outputs ``observations`` (arrays ``y`` and ``wall`` (G,), ``slice_id`` (G,) and ``centers`` (G, 3) in RAS
        mm), ``training_data`` for `train`, and the table ``slices``.
    """
    return call(Result, "scar", "prepare", values)


@documented("scar")
def phantom(**values: Any) -> Result:
    """Make a case whose scar is known everywhere.

    Returns
    -------
    Result
        The outputs ``lge``, ``segmentation``, ``mesh`` and ``truth``, the mesh with ``scar_truth`` at its nodes.

    Examples
    --------
    >>> import deeprecon
    >>> case = deeprecon.scar.phantom(lesion="isthmus", spacing=16, pixel=2.5, node_spacing=4)
    >>> deeprecon.read_volume(case.outputs["lge"]).array.ndim
    3
    """
    return call(Result, "scar", "phantom", values)


@documented("scar")
def evaluate(**values: Any) -> Result:
    """Compare a result with the truth on the same mesh.

    Returns
    -------
    Result
        `figures`: ``dice``, ``hd95_mm``, ``volume_error_percent`` and others.

    Examples
    --------
    >>> import deeprecon
    >>> case = deeprecon.scar.phantom(spacing=16, pixel=2.5, node_spacing=4)
    >>> found = deeprecon.scar.reconstruct(
    ...     mesh=case.outputs["mesh"], scar=case.outputs["segmentation"], method="interpolation"
    ... )
    >>> compared = deeprecon.scar.evaluate(found.mesh, case.outputs["truth"])
    >>> compared.figures["dice"] > 0.5
    True
    """
    return call(Result, "scar", "evaluate", values)


@documented("scar")
def train(**values: Any) -> Result:
    """Train the mlp on the data of `prepare`, and keep it as a model bundle.

    Returns
    -------
    Result
        The outputs ``bundle``, a folder, and the table ``history``.

    Examples
    --------
    >>> import deeprecon
    >>> case = deeprecon.scar.phantom(spacing=16, pixel=2.5, node_spacing=4)
    >>> data = deeprecon.scar.prepare(mesh=case.outputs["mesh"], scar=case.outputs["segmentation"])
    >>> trained = deeprecon.scar.train(data.outputs["training_data"], steps=20)
    >>> found = deeprecon.scar.apply(trained.outputs["bundle"], case.outputs["mesh"], samples=2)
    >>> found.probability.shape == (found.mesh.n_points,)
    True
    """
    return call(Result, "scar", "train", values)


@documented("scar")
def apply(**values: Any) -> ScarMap:
    """Scar probability at every node of a heart mesh, from an mlp that was trained on the same heart.

    Returns
    -------
    ScarMap
        `mesh` with `probability` and `uncertainty` (N,) at its nodes.
    """
    return call(ScarMap, "scar", "apply", values)


@documented("scar")
def import_checkpoint(**values: Any) -> Result:
    """Make a model bundle of a network that cardioscar trained.

    Returns
    -------
    Result
        The output ``bundle``, a folder.
    """
    return call(Result, "scar", "import-checkpoint", values)


@documented("scar")
def export(**values: Any) -> Result:
    """Write a result for simulators and other programs.

    Returns
    -------
    Result
        The output ``mesh`` and, for openCARP, its other files.
    """
    return call(Result, "scar", "export", values)


class Ventricles(Result):
    """The wall of one ventricle or both; see `deeprecon.Result` for what all results have."""

    @cached_property
    def mesh(self) -> Mesh:
        """The mesh in RAS mm with its arrays, in the order of the given one."""
        return read_ventricles(self.outputs["mesh"]).whole


@documented("scar")
def fibers(**values: Any) -> Ventricles:
    """Coordinates of the ventricles' wall from Laplace's equation, and fibers and sheets by rule.

    Returns
    -------
    Ventricles
        `mesh` with ``apicobasal``, ``transmural``, ``rotational`` and ``transventricular`` (N,) at its nodes, each from
        0 to 1, and ``fiber`` and ``sheet`` (C, 3) in its elements, unit vectors in RAS.

    Examples
    --------
    >>> import deeprecon
    >>> case = deeprecon.scar.phantom(spacing=16, pixel=2.5, node_spacing=4)
    >>> made = deeprecon.scar.fibers(case.outputs["mesh"], endo=70, epi=-50)
    >>> depth = made.mesh.point_array("transmural")
    >>> float(depth.min()), float(depth.max())
    (0.0, 1.0)
    """
    return call(Ventricles, "scar", "fibers", values)


@documented("scar")
def activation(**values: Any) -> Ventricles:
    """When each place of the ventricles' wall is activated, from a site or from each of the 17 segments in turn.

    Returns
    -------
    Ventricles
        `mesh` with ``activation_time`` (N,) in ms, NaN where activation does not arrive, ``activation_delay``, by how
        much later than without scar, and ``reentry_vulnerability``; the table ``sites``, and where there are any the
        tables ``late_zones`` and ``slow_channels``.

    Examples
    --------
    >>> import deeprecon
    >>> case = deeprecon.scar.phantom(spacing=16, pixel=2.5, node_spacing=4)
    >>> made = deeprecon.scar.fibers(case.outputs["mesh"])
    >>> found = deeprecon.scar.activation(made.mesh, site=tuple(made.mesh.points[0]), along=0.7)
    >>> float(found.mesh.point_array("activation_time")[0])
    0.0
    """
    return call(Ventricles, "scar", "activation", values)


@documented("scar")
def report_group(**values: Any) -> Result:
    """One page and one table about the results of many patients, the largest share of scar first.

    Returns
    -------
    Result
        The outputs ``report``, a page with thumbnails, and ``table`` (TSV): volumes, spread and doubts of each patient.
    """
    return call(Result, "scar", "report-group", values)


@documented("scar")
def simulation_mesh(**values: Any) -> Ventricles:
    """A mesh of tetrahedra of the wall, from a closed surface or from the wall drawn in slices.

    Returns
    -------
    Ventricles
        `mesh`, and `figures` of its quality, such as ``smallest_angle_degrees`` between two faces of an element.

    Examples
    --------
    >>> import deeprecon
    >>> case = deeprecon.scar.phantom(spacing=16, pixel=2.5, node_spacing=4)
    >>> made = deeprecon.scar.simulation_mesh(surface=case.outputs["mesh"], edge=3)
    >>> made.figures["smallest_angle_degrees"] > 8
    True
    """
    return call(Ventricles, "scar", "simulation-mesh", values)
