"""cardioscar's .npz file of training data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deeprecon.data.files import atomic_path
from deeprecon.scar.read.training_data import NodeGroups


def write_training_data(path: Path, groups: NodeGroups) -> None:
    """Write groups as cardioscar's training data: one row for each node of a group, coordinates 0 to 1 within the box.

    Its scaler is the box. For our own groups the box is a cube, so that no axis is scaled against another when another
    program trains on the file.
    """
    coordinates = (groups.points - groups.box[0]) / (groups.box[1] - groups.box[0])
    with atomic_path(path) as part:
        np.savez(
            part,
            coordinates=coordinates.astype(np.float32),
            intensities=np.repeat(groups.values, groups.sizes)[:, None],
            group_ids=np.repeat(np.arange(len(groups), dtype=np.int32), groups.sizes),
            group_sizes=groups.sizes.astype(np.int32),
            scaler_min=groups.box[0],
            scaler_max=groups.box[1],
        )
