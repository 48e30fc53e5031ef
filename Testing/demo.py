"""The scar reconstruction on real input, from clinical files to a report and a Slicer scene: run by `make demo`.

    python Testing/demo.py --output out/demo [--case DIR]

DIR holds the files of one patient: lge.nrrd (or .nii.gz, or a DICOM folder lge/), segmentation.seg.nrrd with the
myocardium, and optionally mesh.vtu (.vtk, .vtp, .ply, .stl, .pts), and truth.vtu with scar_truth where it is known.
By default the sample case is generated.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Testing" / "host"))

BASELINES = ("nearest", "linear", "signed-distance", "log-odds")
IMAGES = ("lge.nrrd", "lge.nii.gz", "lge.nii", "lge")
MESHES = ("mesh.vtu", "mesh.vtk", "mesh.vtp", "mesh.ply", "mesh.stl", "mesh.pts")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--case", type=Path, help="folder of your own case")
    arguments = parser.parse_args()
    started = time.monotonic()
    folder = arguments.case or arguments.output / "case"
    rule = []
    if arguments.case is None:
        print("Generating the sample case ...", flush=True)
        deeprecon("phantom", "--output", folder, quiet=True)
        rule = ["--threshold", "fwhm"]  # half-way to the maximum: the standard rule for a chronic infarct
    options = case_options(folder) + rule
    print("Reconstructing the scar ...", flush=True)
    result = arguments.output / "field"
    deeprecon("reconstruct", *options, "--output", result)
    if (folder / "truth.vtu").exists():
        compare(folder, options, arguments.output, result)
    write_scene(result, Path(options[1]), arguments.output / "scene.mrb")
    print(f"\nDone in {time.monotonic() - started:.0f} s. Open:")
    print(f"  report   {result / 'report.html'}")
    print(f"  scene    {arguments.output / 'scene.mrb'}   (drag it into Slicer)")
    print(f"  images   {result / 'mesh.png'}, {result / 'slices.png'}")


def deeprecon(verb: str, *arguments: str | Path, quiet: bool = False) -> None:
    """Run the command line; exit with its code if it fails.

    Args:
        quiet: show its output only if it fails.
    """
    command = [sys.executable, "-m", "deeprecon", "scar", verb, *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=quiet, text=True, encoding="utf-8")
    if done.returncode:
        if quiet:
            print(done.stdout, done.stderr, sep="", file=sys.stderr)
        sys.exit(done.returncode)


def case_options(folder: Path) -> list[str | Path]:
    """The files of a case as options of `scar reconstruct`."""

    def first(names: tuple[str, ...]) -> Path | None:
        return next((folder / name for name in names if (folder / name).exists()), None)

    image, mesh, segmentation = first(IMAGES), first(MESHES), folder / "segmentation.seg.nrrd"
    if image is None or not segmentation.exists():
        sys.exit(f"{folder} needs segmentation.seg.nrrd and one of {', '.join(IMAGES)}.")
    options: list[str | Path] = ["--lge", image, "--myocardium", segmentation]
    return [*options, "--mesh", mesh] if mesh else options


def compare(folder: Path, options: list[str | Path], output: Path, field: Path) -> None:
    """Compare the field and every interpolation with the known truth."""
    print("Interpolating for comparison ...", flush=True)
    results = {"field": field}
    for kind in BASELINES:
        results[kind] = output / kind
        choice = ("--method", "interpolation", "--interpolation", kind)
        deeprecon("reconstruct", *options, *choice, "--output", results[kind], quiet=True)
    rows = []
    for name, result in results.items():
        figures_folder = output / "evaluation" / name
        meshes = ("--mesh", result / "mesh.vtu", "--truth", folder / "truth.vtu")
        deeprecon("evaluate", *meshes, "--output", figures_folder, quiet=True)
        with open(figures_folder / "evaluation.csv", encoding="utf-8", newline="") as file:
            figures = {row["figure"]: float(row["value"]) for row in csv.DictReader(file)}
        seconds = json.loads((result / "result.json").read_text(encoding="utf-8"))["provenance"]["seconds"]
        rows.append((name, figures["dice"], figures["volume_error_percent"], figures["hd95_mm"], seconds))
    print(f"\n{'method':16}{'Dice':>8}{'volume error':>14}{'HD95':>10}{'time':>9}")
    for name, dice, error, distance, seconds in rows:
        print(f"{name:16}{dice:8.3f}{error:12.1f} %{distance:7.1f} mm{seconds:7.1f} s")


def write_scene(result: Path, image: Path, path: Path) -> None:
    """A Slicer scene with the image and the result as the panel shows them, written without Slicer."""
    import slicer
    import slicerhost.core

    from deeprecon.data.volume_io import read_volume
    from deeprecon.scene.common.results import load_results
    from deeprecon.scene.display.colors import show_scalars
    from deeprecon.scene.display.views import show_in_views
    from deeprecon.scene.nodes.volumes import node_from_volume

    core = slicerhost.core.start()
    volume = node_from_volume(read_volume(image), "LGE")
    nodes = load_results(result, "Scar")
    show_scalars(nodes["mesh"], "scar_probability", title="Scar probability")
    show_in_views(volume, nodes.get("segmentation"), nodes["mesh"])
    for name in ("Red", "Green", "Yellow"):  # Slicer's slice views show the volumes of these nodes
        composite = slicer.vtkMRMLSliceCompositeNode()
        composite.SetSingletonTag(name)
        composite.SetLayoutName(name)
        composite.SetBackgroundVolumeID(volume.GetID())
        slicer.mrmlScene.AddNode(composite)
    if not slicer.mrmlScene.WriteToMRB(str(path)):
        sys.exit(f"The scene could not be written to {path}.")
    core.close()


if __name__ == "__main__":
    main()
