"""The heart's axes and the coordinates of its wall, from landmarks or from the blood pools of the slices."""

from __future__ import annotations

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.volume import Volume
from deeprecon.scar.anatomy.axes import Axes, axes_from_cavities, axes_from_landmarks
from deeprecon.scar.anatomy.wall_coordinates import WallCoordinates
from deeprecon.scar.observe.slices import ObservedSlices
from deeprecon.scar.read.case import Case


def find_axes(case: Case, slices: ObservedSlices) -> Axes:
    """The ventricle's axes from the landmarks, else from the first stack that shows the left blood pool.

    Stacks of several slices come before single slices.

    Raises:
        InputError: neither was given, or they do not define the axes.
    """
    if case.landmarks:
        return axes_from_landmarks(case.landmarks)
    pairs = list(zip(case.stacks, slices.stacks, strict=True))
    for images, stack in sorted(pairs, key=lambda pair: len(pair[1].wall) == 1):
        left, right = images.cavities
        if left is not None:
            wall = Volume(stack.wall, stack.ijk_to_ras, stack.name, stack.thickness)
            return axes_from_cavities(left, right, wall, stack.offsets)
    raise InputError(
        "Neither landmarks nor a segment of the left ventricle's blood pool were given.",
        "Give --landmarks with apex and base, or a segmentation with a segment named blood pool.",
    )


def find_wall_coordinates(case: Case, slices: ObservedSlices, mesh: Mesh) -> WallCoordinates:
    """Coordinates of points in the ventricle's wall.

    Raises:
        InputError: the mesh is a surface, or nothing defines the ventricle's axes.
    """
    if slices.inside is None or not mesh.is_volume:
        raise InputError("The mesh is a surface, which has no depth.", "Give a volume mesh.")
    return WallCoordinates(find_axes(case, slices), slices.inside, mesh.points)
