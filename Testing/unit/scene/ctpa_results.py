"""A small result of `ctpa synthesize`, as a job leaves it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.ctpa.grid import Grid
from deeprecon.data.files import sha256, write_json
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume

GRID = Grid((12, 10, 14))
METRICS: dict[str, Any] = {
    "nrmse": 0.31,
    "ncc": 0.95,
    "projection_ssim": 0.8,
    "seam_ratio": 1.01,
    "lung_hu": -820.4,
    "blood_hu": 260.0,
    "bone_hu": None,
    "trust": "amber",
    "trust_reasons": ["No bone can be found in the synthetic CT.", "Assumed: it is a PA view."],
    "voxels": "14 x 10 x 12",
    "seconds_denoise": 1.25,
    "seconds_decode": 0.5,
    "peak_memory_gb": 0.7,
    "seeds": [3, 4],
    "xray_distance": 1.2,
    "demonstrator": True,
}


ATLAS_METRICS: dict[str, Any] = {
    "method": "atlas",
    "atlas": "built-in man",
    "fit_correlation": 0.93,
    "seen": 0.8,
    "smallest_jacobian": 0.2,
    "seconds_fit": 11.0,
}
"""Further metrics of a fitted atlas."""
SHIFT = (5.0, -7.0, 11.0)
"""From the synthetic CT to the atlas, LPS mm."""


def write_result(folder: Path, samples: int = 2, offset: int = 0) -> Path:
    """Write a result folder with `samples` samples whose mean is about `offset` HU; returns it."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(samples)
    drawn = rng.integers(-900, 900, (samples, *GRID.shape)) // 4 + offset
    volumes = {f"sample_{number + 1:02d}": sample.astype(np.int16) for number, sample in enumerate(drawn)}
    volumes["ct"] = np.rint(drawn.mean(axis=0)).astype(np.int16)
    if samples > 1:
        volumes["spread"] = np.rint(drawn.std(axis=0)).astype(np.int16)
    z, _, x = GRID.axes()
    xray = (x[None, :] / 100 + z[:, None] / 50).astype(np.float32)
    slices = {"xray": xray, "projected": xray + 0.5, "difference": np.full_like(xray, 0.5)}
    plane = GRID.affine()
    plane[1, 3] = 0.0
    outputs = {}
    for role, array in volumes.items():
        write_volume(folder / f"{role}.nii.gz", Volume(array, GRID.affine()))
        outputs[role] = f"{role}.nii.gz"
    for role, image in slices.items():
        write_volume(folder / f"{role}.nii.gz", Volume(image[:, None, :], plane))
        outputs[role] = f"{role}.nii.gz"
    (folder / "report.html").write_text("<p>report</p>", encoding="utf-8")
    outputs["report"] = "report.html"
    entries = {role: {"path": name, "sha256": sha256(folder / name)} for role, name in outputs.items()}
    provenance = {
        "method": "ctpa",
        "verb": "synthesize",
        "date": "2026-01-02T03:04:05+00:00",
        "device": "cpu",
        "seed": 3,
        "parameters": {"samples": samples, "steps": 12, "turn": "90", "view": "AP"},
    }
    result = {"format": 1, "metrics": METRICS, "provenance": provenance, "outputs": entries}
    write_json(folder / "result.json", result)
    return folder


def write_atlas_result(folder: Path, offset: int = 0) -> Path:
    """Write the result folder of a fitted atlas; returns it."""
    import SimpleITK as sitk

    write_result(folder, 1, offset)
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    outputs = result["outputs"]
    del outputs["sample_01"]
    labels = np.indices(GRID.shape).sum(axis=0).astype(np.uint8) % 17
    for role, array in {"labels": labels, "origin": (labels > 3).astype(np.uint8)}.items():
        write_volume(folder / f"{role}.nii.gz", Volume(array, GRID.affine()))
        outputs[role] = {"path": f"{role}.nii.gz", "sha256": sha256(folder / f"{role}.nii.gz")}
    field = sitk.GetImageFromArray(np.broadcast_to(SHIFT, (*GRID.shape, 3)).copy(), isVector=True)
    field.SetSpacing(GRID.spacing)
    field.SetOrigin([float(axis[0]) for axis in reversed(GRID.axes())])
    sitk.WriteTransform(sitk.DisplacementFieldTransform(field), str(folder / "deformation.h5"))
    outputs["deformation"] = {"path": "deformation.h5", "sha256": sha256(folder / "deformation.h5")}
    result["metrics"] |= ATLAS_METRICS
    result["provenance"]["parameters"] = {"method": "atlas", "view": "AP"}
    write_json(folder / "result.json", result)
    return folder
