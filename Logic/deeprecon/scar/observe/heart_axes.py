"""The heart's axes and the coordinates of its wall, from landmarks or from the blood pools of the slices."""

from __future__ import annotations

from collections.abc import Sequence

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.volume import Volume
from deeprecon.scar.anatomy.axes import Axes, axes_from_cavities, axes_from_landmarks
from deeprecon.scar.anatomy.wall_coordinates import WallCoordinates
from deeprecon.scar.observe.slices import ObservedSlices
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.read.case import Case


def find_axes(case: Case, stacks: Sequence[Stack]) -> Axes:
    """The ventricle's axes from the landmarks, else from the blood pools.

    Raises:
        InputError: neither was given, or they do not define the axes.
    """
    if case.landmarks:
        return axes_from_landmarks(case.landmarks)
    if (found := find_blood_pools(case)) is None:
        raise InputError(
            "Neither landmarks nor a segment of the left ventricle's blood pool were given.",
            "Give --landmarks with apex and base, or a segmentation with a segment named blood pool.",
        )
    number, left, right = found
    stack = stacks[number]
    wall = Volume(stack.wall, stack.ijk_to_ras, stack.name, stack.thickness)
    return axes_from_cavities(left, right, wall, stack.matrices)


def find_blood_pools(case: Case) -> tuple[int, Volume, Volume | None] | None:
    """The first stack that shows the left blood pool, with the left and the right one; None where no stack does.

    Stacks of several slices come before single slices.
    """
    order = sorted(enumerate(case.stacks), key=lambda entry: len(entry[1].wall.array) == 1)
    for number, images in order:
        left, right = images.cavities
        if left is not None:
            return number, left, right
    return None


def find_wall_coordinates(case: Case, slices: ObservedSlices, mesh: Mesh) -> WallCoordinates:
    """Coordinates of points in the ventricle's wall.

    Raises:
        InputError: the mesh is a surface, or nothing defines the ventricle's axes.
    """
    if not mesh.is_volume:
        raise InputError("The mesh is a surface, which has no depth.", "Give a volume mesh.")
    return WallCoordinates(find_axes(case, slices.stacks), slices.inside, mesh.points)
