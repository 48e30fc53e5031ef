"""Replaces the worker for `ctpa synthesize`: writes a small result at once. Other verbs run as usual."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "scene"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Logic"))
from ctpa_results import METRICS, write_atlas_result, write_result

from deeprecon.data.files import write_json
from deeprecon.data.tables import write_table
from deeprecon.jobs.job import Job
from deeprecon.worker import run_job


def main(folder: Path) -> int:
    job = Job.load(folder)
    if job.verb != "synthesize":
        return run_job(folder)
    output, path = folder / job.output, Path(job.output) / "result.json"
    xray = folder / job.inputs["xray"]
    if xray.is_dir():
        if output.exists():  # its files are taken for those of the user
            output, path = output / "result", path.parent / "result" / path.name
        output.mkdir(parents=True)
        rows = [
            {"xray": path.name, "status": "done", "trust": "amber", "nrmse": 0.3} for path in sorted(xray.iterdir())
        ]
        rows[-1] = {"xray": rows[-1]["xray"], "status": "input", "message": "It is a CT."}
        write_table(output / "summary.csv", rows)
        metrics = {"xrays": len(rows), "done": len(rows) - 1, "failed": 1}
        write_json(output / "result.json", {"format": 1, "metrics": metrics, "provenance": {}, "outputs": {}})
    else:
        if job.parameters["method"] == "atlas":
            write_atlas_result(output)
        else:
            write_result(output, job.parameters["samples"])
        result = json.loads((output / "result.json").read_text(encoding="utf-8"))
        result["provenance"] |= {"parameters": job.parameters, "seed": job.seed}
        write_json(output / "result.json", result)
    for text in ("The X-ray is small.", *METRICS["trust_reasons"]):
        print(json.dumps({"type": "warning", "time": 0.0, "message": text}), flush=True)
    print(json.dumps({"type": "result", "time": 0.0, "path": str(path), "metrics": METRICS}), flush=True)
    return 0


sys.exit(main(Path(sys.argv[1])))
