"""Slices of a volume simulated and reconstructed, or measured fields reconstructed, without a window:

    Slicer --no-splash --no-main-window --python-script batch.py \\
        --volume labels.nrrd --speeds 1=1450 2=1580 --output DIR [--scene FILE.mrb]
    Slicer --no-splash --no-main-window --python-script batch.py --data FILE.exp --method fullwave --output DIR

ends Slicer with an exit code: 0 done, 1 internal, 2 bad input. Without Slicer the same is done by
`python -m deeprecon scattering prepare` and `reconstruct`.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

import slicer
import slicer.util

try:
    import deeprecon  # noqa: F401  in a build and in an installed extension
except ImportError:
    sys.path.append(str(Path(__file__).resolve().parents[3]))  # in the source tree

from deeprecon.data.errors import InputError
from deeprecon.data.segmentation import read_segmentation
from deeprecon.data.volume_io import read_volume
from deeprecon.jobs.events import Event
from deeprecon.scattering.parameters import Method, PrepareParameters, ReconstructParameters, Sign
from deeprecon.scene.common.results import RunResult
from deeprecon.scene.nodes.segmentations import node_from_segmentation
from deeprecon.scene.nodes.volumes import node_from_volume
from deeprecon.scene.scattering.job import write_reconstruction
from deeprecon.scene.scattering.run import RECONSTRUCTION, reconstruct_node, run_reconstruction

DAY = 86_400.0
INTERNAL, BAD_INPUT = 1, 2


def main(arguments: list[str]) -> int:
    """Load, simulate, reconstruct, load the results; returns the exit code.

    Raises:
        InputError: see `reconstruct_node` and `run_reconstruction`.
    """
    simulation, reconstruction = PrepareParameters(), ReconstructParameters()
    parser = argparse.ArgumentParser(prog="scattering_batch.py", allow_abbrev=False)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--volume", type=Path, help="labels, .seg.nrrd or sound speeds in m/s")
    given.add_argument("--data", type=Path, help="measured or simulated fields, as of scattering reconstruct")
    parser.add_argument("--output", type=Path, required=True, help="folder for the jobs and their results")
    parser.add_argument("--speeds", nargs="+", default=[], help="such as 1=1450 Muscle=1580, in m/s")
    parser.add_argument("--background", type=float, default=simulation.background, help="m/s")
    parser.add_argument("--k", type=float, default=simulation.k, help="wave number times the region's radius")
    parser.add_argument("--radius", type=float, help="of the region in mm")
    parser.add_argument("--slices", type=int, nargs="+", default=[], help="numbers from 1")
    parser.add_argument("--noise", type=float, default=simulation.noise, help="%%")
    parser.add_argument("--method", choices=[entry.value for entry in Method], default=reconstruction.method.value)
    parser.add_argument("--regularization", type=float, default=reconstruction.regularization)
    parser.add_argument("--grid", type=int, default=reconstruction.grid, help="pixels along a side")
    parser.add_argument("--contrast", choices=[entry.value for entry in Sign], default=reconstruction.contrast.value)
    parser.add_argument("--smoothing", type=float, help="of full-wave inversion")
    parser.add_argument("--steps", type=int, default=reconstruction.steps, help="of full-wave inversion")
    parser.add_argument("--side", type=float, help="of the region of measured fields in mm")
    parser.add_argument("--bundle", type=Path, help="trained network, for --method bcrnet")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time-limit", type=float, default=DAY, help="seconds for each of the two runs")
    parser.add_argument("--accept", nargs="+", default=[], metavar="CODE", help="contradictions to go on with")
    parser.add_argument("--scene", type=Path, help="also save the scene (.mrb)")
    options = parser.parse_args(arguments)
    settings = ReconstructParameters(
        Method(options.method),
        options.regularization,
        grid=options.grid,
        contrast=Sign(options.contrast),
        smoothing=options.smoothing,
        steps=options.steps,
        side=options.side,
    )
    result = _from_volume(options, settings) if options.data is None else _from_data(options, settings)
    print(result.sentence, flush=True)
    if options.scene is not None and not slicer.util.saveScene(str(options.scene), properties={}):
        raise InputError(f"The scene {options.scene} cannot be written.", "Choose another folder.")
    return 0


def _from_data(options: argparse.Namespace, settings: ReconstructParameters) -> RunResult:
    folder = options.output / RECONSTRUCTION
    write_reconstruction(folder, options.data, settings, options.bundle, options.device, options.accept)
    return run_reconstruction(folder, on_event=_print_event, time_limit=options.time_limit)


def _from_volume(options: argparse.Namespace, settings: ReconstructParameters) -> RunResult:
    if options.volume.name.lower().endswith(".seg.nrrd"):
        node = node_from_segmentation(read_segmentation(options.volume), options.volume.name)
    else:
        node = node_from_volume(read_volume(options.volume), options.volume.name)
    return reconstruct_node(
        node,
        options.output,
        PrepareParameters(
            k=options.k,
            speeds=tuple(options.speeds),
            background=options.background,
            radius=options.radius,
            slices=tuple(options.slices),
            noise=options.noise,
        ),
        settings,
        options.bundle,
        options.device,
        options.seed,
        on_event=_print_event,
        time_limit=options.time_limit,
        accept=options.accept,
    )


def _print_event(event: Event) -> None:
    print(event.get("text", event), flush=True)


def exit_code(arguments: list[str]) -> int:
    """`main`, with any error printed on stderr."""
    try:
        return main(arguments)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return BAD_INPUT
    except SystemExit as end:  # argparse
        return end.code if isinstance(end.code, int) else BAD_INPUT
    except BaseException:  # Slicer must not stay open
        traceback.print_exc()
        return INTERNAL


if __name__ == "__main__":
    slicer.util.exit(exit_code(sys.argv[1:]))
