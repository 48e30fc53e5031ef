"""The scans of a BIDS dataset, their gradient tables and masks."""

from __future__ import annotations

from pathlib import Path

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


def find_table(scan: Path, root: Path, kind: str) -> Path:
    """The bval or bvec file of a scan by the inheritance principle of BIDS.

    It is the nearest *dwi.bval or *dwi.bvec on the way from the scan's folder up to the dataset's whose name has no
    entity that the scan's has not; of several in a folder, the one whose name says most.

    Args:
        scan: a *_dwi file below `root`.
        root: folder of the dataset.
        kind: "bval" or "bvec".

    Raises:
        InputError: there is none, or two in one folder say as much.
    """
    entities = set(stem(scan).split("_")[:-1])
    for folder in scan.parents:
        applicable: dict[int, list[Path]] = {}
        for path in sorted(folder.glob(f"*dwi.{kind}")):
            *own, suffix = path.stem.split("_")
            if suffix == "dwi" and entities.issuperset(own):
                applicable.setdefault(len(own), []).append(path)
        if applicable:
            found, *others = applicable[max(applicable)]
            if others:
                raise InputError(
                    f"{found} and {others[0].name} are both the {kind} file of {scan.name}.",
                    f"Keep one of them, or name it {stem(scan)}.{kind}.",
                )
            return found
        if folder == root:
            break
    raise InputError(
        f"There is no {kind} file for {scan}.",
        f"Put {stem(scan)}.{kind} beside it, or a dwi.{kind} for all scans into {root}.",
    )


def stem(path: Path) -> str:
    """Name of a file without .nii or .nii.gz."""
    return path.name.removesuffix(".gz").removesuffix(".nii")


def find_mask_file(path: Path) -> Path | None:
    """A brain mask that lies beside the scan under its name."""
    for ending in (".nii.gz", ".nii"):
        mask = path.with_name(f"{stem(path).removesuffix('_dwi')}_desc-brain_mask{ending}")
        if mask.is_file():
            return mask
    return None
