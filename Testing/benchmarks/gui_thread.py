"""How long each call of the panels holds the GUI thread with large data, in CPU time of that thread; no rendering.

    python Testing/benchmarks/gui_thread.py [--size large|small] [--modules scar ctpa dwmri] [--json FILE]

Runs in the stand-in of Slicer: inputs are chosen, a job is written, its result (made beforehand: no job computes) is
loaded, shown in every way, measured and exported. What Slicer itself does, loading, saving and conversion, is listed
apart. Exits with 1 if a call of our own code takes more than 150 ms.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Testing"), str(ROOT / "Testing" / "host")]
from benchmarks.common import argument_parser, write_result  # noqa: E402

LIMIT = 0.15
"""Seconds of CPU time that one call of our own code may take."""
OPENING = "open the panel"
"""The first time, with the import of the library; without any data, so that the limit is not for it."""
SHAPES = {
    "large": {"ct": (600, 512, 512), "xray": (2048, 2048), "scan": (60, 96, 96), "volumes": 65, "node_spacing": 0.5},
    "small": {"ct": (24, 32, 32), "xray": (64, 64), "scan": (10, 20, 22), "volumes": 7, "node_spacing": 4.0},
}
"""Voxels (k, j, i), pixels, volumes, and mm between the nodes of the mesh: 1.4 million of them in the large one."""


# -- results, as jobs leave them


def write_outputs(folder: Path, method: str, verb: str, files: dict[str, str], metrics: dict[str, Any]) -> None:
    """Write result.json over files that are there."""
    from deeprecon.data.files import sha256, write_json

    (folder / "report.html").write_text("<p>report</p>", encoding="utf-8")
    outputs = {role: {"path": name, "sha256": sha256(folder / name)} for role, name in files.items()}
    provenance = {"method": method, "verb": verb, "date": "2026-01-02T03:04:05+00:00", "seed": 0, "parameters": {}}
    write_json(folder / "result.json", {"format": 1, "metrics": metrics, "provenance": provenance, "outputs": outputs})


def make_ctpa(folder: Path, shape: dict[str, Any]) -> None:
    """An X-ray, and a CT of two samples with the slices of its check."""
    from deeprecon.data.volume import Volume
    from deeprecon.data.volume_io import write_volume

    k, j, i = shape["ct"]
    rng = np.random.default_rng(0)
    texture = rng.integers(-20, 20, (k, 1, i), np.int16)
    body = (np.hypot(*np.indices((j, i)) - np.array([[[j / 2]], [[i / 2]]])) < 0.4 * j) * np.int16(1000)
    ct = (texture + body[None] - 1000).astype(np.int16)
    affine = np.diag([0.7, 0.7, 0.7, 1.0])
    write_volume(folder / "xray.nrrd", Volume(rng.random(shape["xray"], np.float32)[::-1, None, :], affine))
    result = folder / "result"
    result.mkdir()
    for role, array in (("ct", ct), ("sample_01", ct + 3), ("sample_02", ct - 3), ("spread", np.abs(texture) + 0 * ct)):
        write_volume(result / f"{role}.nii.gz", Volume(array.astype(np.int16), affine))
    for role in ("xray", "projected", "difference"):
        write_volume(result / f"{role}.nii.gz", Volume(ct[:, :1].astype(np.float32), affine))
    roles = ("ct", "sample_01", "sample_02", "spread", "xray", "projected", "difference")
    metrics = {"trust": "green", "trust_reasons": [], "nrmse": 0.3, "voxels": f"{i} x {j} x {k}"}
    write_outputs(result, "ctpa", "synthesize", {role: f"{role}.nii.gz" for role in roles}, metrics)


def make_dwmri(folder: Path, shape: dict[str, Any]) -> None:
    """A noisy scan, and its enhancement with every map."""
    from deeprecon.data.diffusion.files import write_dwi
    from deeprecon.data.volume_io import write_volume
    from deeprecon.dwmri.simulate.head import make_phantom

    made = make_phantom(
        shape["scan"], shape["volumes"] // 10 or 1, ((1000.0, shape["volumes"] - (shape["volumes"] // 10 or 1)),)
    )
    scan, head = made.noisy, made.mask.astype(np.float32)
    write_dwi(folder / "dwi.nrrd", scan)
    result = folder / "result"
    result.mkdir()
    write_dwi(result / "dwi.nii.gz", scan)
    residual = scan.with_array((scan.array * np.float32(0.05)).astype(np.float32))
    write_dwi(result / "residual.nii.gz", residual)
    write_volume(result / "mask.nii.gz", scan.volume(made.mask.astype(np.uint8)))
    maps = {"noise": 20.0, "uncertainty": 5.0, "fa_before": 0.4, "fa_after": 0.5, "md_before": 8e-4, "md_after": 7e-4}
    for role, value in maps.items():
        write_volume(result / f"{role}.nii.gz", scan.volume((value * head).astype(np.float32)))
    for role in ("color_fa_before", "color_fa_after"):
        colors = scan.with_array(np.repeat(head[..., None], 3, axis=-1))
        write_colors(result / f"{role}.nii.gz", colors)
    roles = ("dwi", "residual", "mask", *maps, "color_fa_before", "color_fa_after")
    metrics = {"volumes": shape["volumes"], "snr_b0": 20.0}
    write_outputs(result, "dwmri", "enhance", {role: f"{role}.nii.gz" for role in roles}, metrics)


def write_colors(path: Path, scan: Any) -> None:
    """A color image (k, j, i, 3), as the enhancement writes it."""
    from deeprecon.data.formats.nifti import write_nifti

    write_nifti(path, np.moveaxis(scan.array, -1, 0), scan.ijk_to_ras)


def make_scar(folder: Path, shape: dict[str, Any]) -> None:
    """A heart, and its reconstruction on the same fine mesh."""
    from deeprecon.data.mesh.files import write_mesh
    from deeprecon.data.tables import write_table
    from deeprecon.scar.simulate.hearts import sample_case, write_case

    heart = sample_case(node_spacing=shape["node_spacing"])
    write_case(heart, folder)
    result = folder / "result"
    result.mkdir()
    values = np.linspace(0, 1, heart.mesh.n_points).astype(np.float32)
    names = ("scar_probability", "scar_uncertainty", "scar_entropy", "scar_binary", "scar_transmurality")
    write_mesh(result / "mesh.vtu", heart.mesh.with_point_arrays(dict.fromkeys(names, values)), "mm", "lps")
    shutil.copy(folder / "segmentation.seg.nrrd", result)
    for name in ("table", "slices"):
        write_table(result / f"{name}.csv", [{"region": "scar", "volume_ml": 1.5}])
    files = {"mesh": "mesh.vtu", "segmentation": "segmentation.seg.nrrd", "table": "table.csv", "slices": "slices.csv"}
    metrics = {"volume_ml": 1.5, "percent_of_wall": 2.0, "nodes": heart.mesh.n_points}
    write_outputs(result, "scar", "reconstruct", files, metrics)


WORKER = """
import json, os, pathlib, shutil, sys
folder, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]) / "output"
if json.loads((pathlib.Path(sys.argv[2]) / "job.json").read_text())["verb"] != "export":
    shutil.copytree(folder / "result", output, copy_function=os.link)
    path = output / "result.json"
    result, job = json.loads(path.read_text()), json.loads((pathlib.Path(sys.argv[2]) / "job.json").read_text())
    result["provenance"] |= {"parameters": job["parameters"], "seed": job["seed"]}
    path.unlink()
    path.write_text(json.dumps(result))
print(json.dumps({"type": "result", "time": 0.0, "path": "output/result.json", "metrics": {}}), flush=True)
"""
"""Stands for the worker: the result is there already."""


# -- the panels


class Driver:
    """One open panel whose calls are watched.

    Args:
        host: the stand-in of Slicer.
        module: name of the module.
        folder: with the inputs and `result`.
    """

    def __init__(self, host: Any, module: str, folder: Path) -> None:
        from slicerhost.watchdog import Watchdog

        from deeprecon.jobs.runner import JobRunner
        from deeprecon.panels.common import run_panel

        self.host, self.folder, self.watchdog = host, folder, Watchdog()
        command = [sys.executable, "-c", WORKER, str(folder)]
        run_panel.JobRunner = lambda job, _command, environment: JobRunner(job, command, environment)  # type: ignore
        path = ROOT / module / f"{module}.py"
        with self.watchdog.watching():
            self.do(OPENING, lambda: host.loadModule(path))
        self.widget = sys.modules["slicer"].util.getModuleWidget(module)
        self.node = self.widget._parameterNode

    def do(self, name: str, action: Callable[[], Any]) -> None:
        """One call from the event loop, and what it leaves to be done."""
        self.watchdog.measure(name, action)
        self.host.process(0.3)

    def press(self, name: str, button: Any) -> None:
        """A button that starts work in steps, until it can be pressed again."""
        self.do(name, button.click)
        self.host.waitFor(lambda: button.enabled, 600)

    def run(self) -> None:
        """Press Apply and wait for the result."""
        panel = self.widget.runPanel
        assert panel.ui.applyButton.enabled, panel.ui.applyButton.toolTip
        panel.ui.applyButton.click()
        self.host.waitFor(lambda: not panel.busy, 600)
        assert panel.state.value == "done", panel.ui.messageLabel.text


def drive_ctpa(driver: Driver) -> None:
    import slicer

    from deeprecon.scene.ctpa.views import WINDOWS

    widget, node = driver.widget, driver.node
    widget.ui.fileEdit.currentPath = str(driver.folder / "xray.nrrd")
    driver.press("open the X-ray", widget.ui.openButton)
    driver.run()
    for name in ("sample_01", "spread", "ct"):
        driver.do(f"show {name}", lambda name=name: widget.showImage(name))
    for name in WINDOWS:
        driver.do(f"window {name}", lambda name=name: widget.ctPanel._onWindow(name))
    driver.do("choose a CT as the X-ray", lambda: setattr(node, "xray", node.outputCt))
    driver.do("choose the X-ray again", lambda: setattr(node, "xray", slicer.util.getNode("xray")))
    widget.ctPanel.ui.exportFolderEdit.currentPath = str(driver.folder)
    driver.do("export", widget.onExport)
    driver.host.waitFor(lambda: not widget.runPanel.busy, 600)
    driver.do("repeat", widget.runPanel._onRepeat)
    driver.run()
    driver.do("discard", widget.resultPanel._onDiscard)


def drive_dwmri(driver: Driver) -> None:
    import slicer

    from deeprecon.scene.dwmri.views import COMPARISONS

    widget, node = driver.widget, driver.node
    widget.ui.fileEdit.currentPath = str(driver.folder / "dwi.nrrd")
    driver.press("open the scan", widget.ui.openButton)
    driver.press("check the axes", widget.ui.flipsButton)
    driver.run()
    results = widget.results
    for name in COMPARISONS:
        driver.do(f"show {name}", lambda name=name: results.show(name))
    results.comparePanel.ui.sideBySideCheckBox.checked = True
    driver.do("side by side", lambda: results.show("scan"))
    driver.do("volume 5", lambda: results._onVolume(5))
    measures = results.measurePanel
    driver.do("region", measures._onBox)
    driver.host.waitFor(lambda: node.regionTable is not None, 600)
    driver.do("line", measures._onLine)
    driver.host.waitFor(lambda: not (measures._timer.active or measures._stepper.busy), 600)
    driver.press("edit the mask", widget.ui.editMaskButton)
    driver.do("choose no scan", lambda: setattr(node, "inputScan", None))
    driver.do("choose the scan", lambda: setattr(node, "inputScan", slicer.util.getNode("dwi")))
    driver.do("repeat", widget.runPanel._onRepeat)
    driver.run()
    driver.do("discard", results.resultPanel._onDiscard)


def drive_scar(driver: Driver) -> None:
    import slicer

    widget, node, folder = driver.widget, driver.node, driver.folder
    volume = slicer.util.loadVolume(str(folder / "lge.nrrd"), properties={})
    segmentation = slicer.util.loadSegmentation(str(folder / "segmentation.seg.nrrd"), properties={})
    mesh = slicer.util.loadModel(str(folder / "mesh.vtu"))
    driver.do("choose the volume", lambda: setattr(node, "inputVolume", volume))
    driver.do("choose the segmentation", lambda: setattr(node, "segmentation", segmentation))
    driver.do("choose the mesh", lambda: setattr(node, "mesh", mesh))
    driver.run()
    for name in ("scar_uncertainty", "scar_entropy", "scar_binary", "scar_transmurality", "scar_probability"):
        driver.do(f"show {name}", lambda name=name: widget.colorResult(name))
    driver.do("choose the result as mesh", lambda: setattr(node, "mesh", node.outputMesh))
    driver.do("repeat", widget.runPanel._onRepeat)
    driver.run()
    driver.do("discard", widget.resultPanel._onDiscard)


def drive_samples(driver: Driver) -> None:
    driver.press("sample", driver.widget.ui.sampleButton)


MODULES: dict[str, tuple[str, Callable[..., None], Callable[[Driver], None]]] = {
    "scar": ("ScarReconstruction", make_scar, drive_scar),
    "ctpa": ("CTPASynthesis", make_ctpa, drive_ctpa),
    "dwmri": ("DWMRIEnhance", make_dwmri, drive_dwmri),
}
"""Method -> module, what makes its case, what drives its panel."""


def measure(host: Any, method: str, folder: Path) -> list[Any]:
    """The calls of one module, in the folder of a case; the scene is empty before and after."""
    import qt

    from deeprecon.panels.computer.device_panel import DEVICE_SETTING, DevicePanel

    module, _make, drive = MODULES[method]
    host.reset()
    qt.QSettings().setValue(DEVICE_SETTING, "cpu")
    DevicePanel.probed = PROBE
    driver = Driver(host, module, folder)
    with driver.watchdog.watching():
        drive(driver)
        drive_samples(driver)
    assert not host.slotErrors(), host.slotErrors()[0][2]
    host.reset()
    return driver.watchdog.longest()


PROBE = {
    "python": "3.12", "platform": "test", "cores": 2, "ram_total": 8 * 2**30, "ram_free": 4 * 2**30,
    "torch": {"version": "2.9", "cuda": None, "architectures": []}, "suggested": "cpu", "problem": None,
    "devices": [{"device": "cpu", "name": "CPU", "usable": True, "why": "", "action": "", "memory_total": 8 * 2**30,
                 "memory_free": 4 * 2**30, "gflops": 50.0}],
}  # fmt: skip
"""A computer that is checked already."""


def make_case(method: str, folder: str, size: str) -> int:
    """Write the case of a method into a new folder."""
    Path(folder).mkdir(parents=True)
    MODULES[method][1](Path(folder), SHAPES[size])
    return 0


def main() -> int:
    if sys.argv[1:2] == ["--make"]:
        return make_case(*sys.argv[2:])
    parser = argument_parser(__doc__, "gui_thread")
    parser.add_argument("--size", choices=SHAPES, default="large")
    parser.add_argument("--modules", nargs="+", choices=MODULES, default=list(MODULES))
    parser.add_argument("--cases", type=Path, help="folder of the cases, made there if missing; else a temporary one")
    arguments = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for method in arguments.modules:
            folder = (arguments.cases or Path(temporary)) / f"{method}-{arguments.size}"
            if not folder.exists():  # in a process of its own: the host's memory stays small
                subprocess.run([sys.executable, __file__, "--make", method, folder, arguments.size], check=True)
            import slicerhost

            rows += [
                {
                    "module": MODULES[method][0],
                    "call": call.name,
                    "own": call.own,
                    "slicer": call.slicer,
                    "most": call.most,
                }
                for call in measure(slicerhost.start(), method, folder)
            ]
    print_tables(rows)
    write_result(arguments.json, {"size": arguments.size, "limit": LIMIT, "rows": rows})
    slowest = max(row["own"] for row in rows if row["call"] != OPENING)
    print(f"longest call of our own: {1000 * slowest:.0f} ms (limit {1000 * LIMIT:.0f}); written to {arguments.json}")
    sys.stdout.flush()
    os._exit(0 if slowest <= LIMIT else 1)


def print_tables(rows: list[dict[str, Any]], shortest: float = 0.02) -> None:
    """The calls of our own, then those of Slicer that they made; CPU time in ms."""
    print("| module | call | own [ms] |\n|---|---|---|")
    for row in sorted(rows, key=lambda row: -row["own"]):
        if row["own"] >= shortest:
            print(f"| {row['module']} | {row['call']} | {1000 * row['own']:.0f} |")
    print("\n| module | call | Slicer's own part | [ms] |\n|---|---|---|---|")
    for row in rows:
        for name, seconds in sorted(row["slicer"].items(), key=lambda item: -item[1]):
            print(f"| {row['module']} | {row['call']} | {name} | {1000 * seconds:.0f} |")


if __name__ == "__main__":
    raise SystemExit(main())
