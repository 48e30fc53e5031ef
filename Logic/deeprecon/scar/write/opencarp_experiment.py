"""What openCARP needs beside a mesh to run: parameters of its regions, stimulus sites, a script for carputils.

Names of parameters: https://opencarp.org/manual/opencarp-manual-latest.pdf and `openCARP +Doc`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.files import atomic_path
from deeprecon.scar.tissue_tags import TissueTags

Integers = npt.NDArray[np.int64]

_CONDUCTIVITIES = {"g_il": 0.174, "g_it": 0.019, "g_in": 0.019, "g_el": 0.625, "g_et": 0.236, "g_en": 0.236}
"""S/m along, across and normal to the sheets, inside and outside of the cells: Clerc 1976 (J Physiol 255:335), as
openCARP has them where nothing is stated."""
_BORDER = 0.25
"""Share of the inner conductivity that is left in border zone: half the speed, which grows with its square root."""

_SCRIPT = '''#!/usr/bin/env python3
"""Paces the ventricles from one site with openCARP by carputils: `python run.py --site site_01.vtx --np 4`."""

from pathlib import Path

from carputils import tools

HERE = Path(__file__).resolve().parent


def parser():
    options = tools.standard_parser()
    options.add_argument("--site", default="{site}", help="file of the stimulated nodes")
    options.add_argument("--duration", type=float, default=600.0, help="of the simulation in ms")
    return options


def job_id(args):
    return f"paced_from_{{Path(args.site).stem}}"


@tools.carpexample(parser, job_id)
def run(args, job):
    command = tools.carp_cmd(str(HERE / "mesh.par"))
    command += ["-simID", job.ID, "-meshname", str(HERE / "mesh"), "-tend", args.duration]
    command += ["-stim[0].elec.vtx_file", str(HERE / args.site)]
    job.carp(command)


if __name__ == "__main__":
    run()
'''


def write_experiment(
    folder: Path, tags: Integers, tissue: TissueTags, sites: Mapping[str, Integers]
) -> dict[str, Path]:
    """Write mesh.par, a file of nodes for each site, and run.py; returns where they lie, by role.

    Scar core is no part of the intracellular domain, so that it insulates. Border zone has a quarter of the inner
    conductivity; all that is neither, unknown wall too, is healthy.

    Args:
        folder: with mesh.pts and mesh.elem.
        tags: (M,) of the elements.
        tissue: which tags are border zone and core.
        sites: name -> (S,) numbers of the nodes that are stimulated; the first is that of the parameter file.
    """
    present = np.unique(tags).tolist()
    border = [tag for tag in present if tag == tissue.border != tissue.core]
    healthy = [tag for tag in present if tag not in (tissue.border, tissue.core)]
    files = {"mesh_par": ("mesh.par", _parameters(healthy, border, next(iter(sites), None)))}
    for name, nodes in sites.items():
        files[name] = (f"{name}.vtx", "\n".join([str(len(nodes)), "intra", *map(str, nodes.tolist())]) + "\n")
    if sites:
        files["script"] = ("run.py", _SCRIPT.format(site=f"{next(iter(sites))}.vtx"))
    outputs = {}
    for role, (name, text) in files.items():
        outputs[role] = folder / name
        with atomic_path(outputs[role]) as part:
            part.write_text(text, encoding="utf-8", newline="\n")
    return outputs


def _parameters(healthy: Sequence[int], border: Sequence[int], site: str | None) -> str:
    """The text of the parameter file."""
    lines = [
        "# Regions of tissue after scar; change models and conductivities to those of your study.",
        "meshname = mesh",
        "tend = 600.0  # ms",
        "dt = 20  # us",
        "spacedt = 1.0  # ms",
        "timedt = 10.0  # ms",
        "parab_solve = 1",
        "",
        "# Scar core is left out of the intracellular domain: it insulates.",
        "num_phys_regions = 1",
        'phys_region[0].name = "intracellular"',
        "phys_region[0].ptype = 0",
        *_tags("phys_region[0]", [*healthy, *border]),
        "",
    ]
    groups = [(name, of) for name, of in (("healthy", healthy), ("border_zone", border)) if of]
    lines.append(f"num_imp_regions = {len(groups)}")
    for number, (name, of) in enumerate(groups):
        lines += [f'imp_region[{number}].name = "{name}"', f"imp_region[{number}].im = tenTusscherPanfilov"]
        lines += _tags(f"imp_region[{number}]", of)
    lines += ["", "# S/m", f"num_gregions = {len(groups)}"]
    for number, (name, of) in enumerate(groups):
        lines += [f'gregion[{number}].name = "{name}"', *_tags(f"gregion[{number}]", of)]
        for conductivity, value in _CONDUCTIVITIES.items():
            share = _BORDER if name == "border_zone" and conductivity.startswith("g_i") else 1
            lines.append(f"gregion[{number}].{conductivity} = {value * share:g}")
    if site is not None:
        lines += [
            "",
            "num_stim = 1",
            f'stim[0].name = "{site}"',
            "stim[0].crct.type = 0",
            "stim[0].pulse.strength = 250.0  # uA/cm2",
            "stim[0].ptcl.start = 0.0  # ms",
            "stim[0].ptcl.duration = 2.0  # ms",
            "stim[0].ptcl.npls = 1",
            f'stim[0].elec.vtx_file = "{site}.vtx"',
        ]
    lines += [
        "",
        "num_LATs = 1",
        'lats[0].ID = "activation"',
        "lats[0].all = 0",
        "lats[0].measurand = 0",
        "lats[0].mode = 0",
        "lats[0].threshold = -10",
    ]
    return "\n".join(lines) + "\n"


def _tags(start: str, tags: Sequence[int]) -> list[str]:
    return [f"{start}.num_IDs = {len(tags)}", *(f"{start}.ID[{number}] = {tag}" for number, tag in enumerate(tags))]
