"""HDF5 files that take data from other files, in each way that HDF5 has, are refused before those are opened."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.jobs.run import Run, SilentReporter
from deeprecon.scattering.parameters import PhantomParameters
from deeprecon.scattering.read.far_field_file import read_far_fields
from deeprecon.scattering.simulate.far_fields import simulate_phantoms
from deeprecon.scattering.write.far_field_file import write_far_fields

h5py = pytest.importorskip("h5py")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("far_fields")
    run = Run(folder, folder, "cpu", 1, "fp32", 0, SilentReporter())
    parameters = PhantomParameters(count=2, k=4.0, grid=16, rings=8)
    write_far_fields(folder / "whole.h5", simulate_phantoms(parameters, run), "a")
    return folder / "whole.h5"


def link(file: Any, other: Path) -> None:
    del file["image"]
    file["image"] = h5py.ExternalLink(other, "/image")


def link_below_a_link(file: Any, other: Path) -> None:
    del file["image"]
    file.create_group("further")["image"] = h5py.ExternalLink(other, "/image")
    file["image"] = h5py.SoftLink("/further/image")


def link_to_everything(file: Any, other: Path) -> None:
    file["other"] = h5py.ExternalLink(other, "/")


def storage(file: Any, other: Path) -> None:
    image = file["image"][()]
    del file["image"]
    file.create_dataset("image", image.shape, image.dtype, external=[(str(other), 0, image.nbytes)])


def virtual(file: Any, other: Path) -> None:
    image = file["image"][()]
    del file["image"]
    layout = h5py.VirtualLayout(image.shape, image.dtype)
    layout[:] = h5py.VirtualSource(other, "image", image.shape)
    file.create_virtual_dataset("image", layout)


@pytest.mark.parametrize("take", [link, link_below_a_link, link_to_everything, storage, virtual])
@pytest.mark.parametrize("place", ["elsewhere", "data"])
def test_data_of_another_file_are_not_read(
    whole: Path, tmp_path: Path, take: Callable[[Any, Path], None], place: str
) -> None:
    for name in ("elsewhere", "data"):
        (tmp_path / name).mkdir()
    other = shutil.copy(whole, tmp_path / place / "other.h5")
    path = shutil.copy(whole, tmp_path / "data" / "a.h5")
    with h5py.File(path, "r+") as file:
        take(file, other)
    with pytest.raises(InputError, match=r"a\.h5 takes .* from another file"):
        read_far_fields(path)


def test_links_within_the_file_are_followed(whole: Path, tmp_path: Path) -> None:
    path = shutil.copy(whole, tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.move("image", "image of all")
        file["image"] = h5py.SoftLink("/image of all")
        file["again"] = file["/"]
    expected, found = read_far_fields(whole), read_far_fields(path)
    np.testing.assert_array_equal(found.image, expected.image)
