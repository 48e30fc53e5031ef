"""The diffusion scans of a BIDS dataset, their gradient files and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deeprecon.data.diffusion.kinds import read_sidecar
from deeprecon.data.errors import InputError


def find_scans(root: Path) -> list[Path]:
    """The *_dwi.nii and *_dwi.nii.gz files of all subjects and sessions, derivatives left out.

    Raises:
        InputError: no folder, or no scan in it.
    """
    if not root.is_dir():
        raise InputError(f"{root} is no folder.", "Give the folder of the BIDS dataset.")
    found = [
        path
        for pattern in ("sub-*/dwi/*_dwi.nii*", "sub-*/ses-*/dwi/*_dwi.nii*")
        for path in root.glob(pattern)
        if path.name.endswith((".nii", ".nii.gz"))
    ]
    if not found:
        raise InputError(
            f"{root} holds no diffusion scan.", "It must have sub-*/dwi/*_dwi.nii.gz, or sub-*/ses-*/dwi/*_dwi.nii.gz."
        )
    return sorted(found)


def find_gradient_file(scan: Path, root: Path, kind: str) -> Path:
    """The bval or bvec file of a scan by the inheritance principle of BIDS.

    It is the nearest *dwi.bval or *dwi.bvec on the way from the scan's folder up to the dataset's whose name has only
    entities of the scan's; of several in a folder, the one with the most entities.

    Args:
        scan: a *_dwi file below `root`.
        root: folder of the dataset.
        kind: "bval" or "bvec".

    Raises:
        InputError: there is none, or two in one folder have as many entities.
    """
    for folder in _folders(scan, root):
        applicable = _applicable(scan, folder, kind)
        if applicable:
            found, *others = applicable[max(applicable)]
            if others:
                raise InputError(
                    f"{found} and {others[0].name} are both the {kind} file of {scan.name}.",
                    f"Keep one of them, or name it {file_stem(scan)}.{kind}.",
                )
            return found
    raise InputError(
        f"There is no {kind} file for {scan}.",
        f"Put {file_stem(scan)}.{kind} into its folder, or a dwi.{kind} for all scans into {root}.",
    )


def merged_sidecar(scan: Path, root: Path) -> dict[str, Any]:
    """The content of the JSON files that apply to a scan by the inheritance principle; the nearer one counts.

    Files that cannot be read are passed over.
    """
    merged: dict[str, Any] = {}
    for folder in reversed(_folders(scan, root)):
        applicable = _applicable(scan, folder, "json")
        for count in sorted(applicable):
            for path in applicable[count]:
                merged |= read_sidecar(path)
    return merged


def _folders(scan: Path, root: Path) -> list[Path]:
    """The folder of a scan and those above it up to the dataset's."""
    return [folder for folder in scan.parents if folder == root or root in folder.parents]


def _applicable(scan: Path, folder: Path, kind: str) -> dict[int, list[Path]]:
    """The files *dwi.KIND of a folder whose entities are all of the scan's, by the number of these."""
    entities = set(file_stem(scan).split("_")[:-1])
    found: dict[int, list[Path]] = {}
    for path in sorted(folder.glob(f"*dwi.{kind}")):
        *own, suffix = path.stem.split("_")
        if suffix == "dwi" and entities.issuperset(own):
            found.setdefault(len(own), []).append(path)
    return found


def file_stem(path: Path) -> str:
    """Name of a file without .nii or .nii.gz."""
    return path.name.removesuffix(".gz").removesuffix(".nii")


def find_mask_file(path: Path) -> Path | None:
    """The brain mask in the folder of a scan, with its name."""
    for ending in (".nii.gz", ".nii"):
        mask = path.with_name(f"{file_stem(path).removesuffix('_dwi')}_desc-brain_mask{ending}")
        if mask.is_file():
            return mask
    return None
