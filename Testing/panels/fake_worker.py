"""Replaces the worker: `fake_worker.py MODE JOBDIR` writes the events of the mode, in a few tenths of a second."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Logic"))
from deeprecon.jobs.process import die_with_parent


def say(type_: str, **values: object) -> None:
    print(json.dumps({"type": type_, "time": 0.0, **values}), flush=True)


def main(mode: str, folder: Path) -> int:
    die_with_parent()
    say("status", text="Working")
    if mode == "long":  # with a grandchild, until it is stopped
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (folder / "pids").write_text(f"{os.getpid()} {child.pid}", encoding="utf-8")
        for step in range(6000):
            say("progress", fraction=step / 6000, seconds_left=(6000 - step) / 10)
            say("metric", step=step, loss=1 / (step + 1), held_out=None if step == 0 else 2 / (step + 1))
            if (folder / "stop").exists():
                break
            time.sleep(0.1)
        child.kill()
    elif mode == "stubborn":
        (folder / "pids").write_text(str(os.getpid()), encoding="utf-8")
        time.sleep(600)
    elif mode == "input":
        say("error", kind="input", message="lge.nrrd has a hole <in> it.", hint="Give --slice-thickness.")
        return 2
    elif mode == "contradiction" and not json.loads((folder / "job.json").read_text(encoding="utf-8"))["accept"]:
        say("error", kind="input", message="film.png: Left is right.", hint="Turn it.", codes=["test-doubt"])
        return 2
    elif mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "verbose":
        for number in range(20_000):
            print(f"line {number} äö", flush=False)
    say("warning", message="The slices overlap.")
    say("progress", fraction=1.0, seconds_left=0)
    say("result", path="output/result/result.json" if mode == "beside" else "result.json", metrics={})
    return 0


sys.exit(main(sys.argv[1], Path(sys.argv[2])))
