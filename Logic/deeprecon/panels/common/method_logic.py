"""What the Logic classes of all methods share: running a job without a panel."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from deeprecon.data.errors import InputError
from deeprecon.jobs.runner import JobRunner
from deeprecon.panels.computer.device_panel import userCommand, userEnvironment, userOverlay


class MethodLogic(ScriptedLoadableModuleLogic):  # type: ignore[misc]
    """Base of a module's Logic; needs no panel and shows no dialogs.

    Attributes:
        parameterNodeClass: the module's parameterNodeWrapper class.
    """

    parameterNodeClass: ClassVar[Callable[[Any], Any]]

    def getParameterNode(self) -> Any:
        """The scene's parameter node."""
        return type(self).parameterNodeClass(super().getParameterNode())

    @staticmethod
    def newJobFolder() -> Path:
        """A new folder for a job; it is kept for diagnosis and resuming until temporary files are deleted."""
        return Path(tempfile.mkdtemp(prefix="DeepRecon-", dir=slicer.app.temporaryPath))

    def process(
        self,
        write: Callable[..., Any],
        load: Callable[..., Any],
        nodes: Any,
        parameters: Any,
        device: str = "auto",
        seed: int = 0,
        outputs: Any = None,
        wait: bool = True,
        onEvent: Callable[[dict[str, Any]], Any] | None = None,
    ) -> Any:
        """Write a job, run it, and load its results.

        Args:
            write: writes a job; called with its folder, `nodes`, `parameters`, `device` and `seed`.
            load: loads the results; called with their folder, `nodes` and `outputs`.
            nodes: the inputs.
            parameters: the settings.
            device: "auto", "cpu", "cuda:0", ...
            seed: of every random number.
            outputs: nodes of an earlier run to write into.
            wait: False returns the started JobRunner at once; poll it, then call `load` with its `result_folder`.
            onEvent: called with each event of the job while waiting.

        Raises:
            InputError: bad input.
            RuntimeError: the computation failed; the text gives cause and remedy.
        """
        folder = self.newJobFolder()
        write(folder, nodes, parameters, device, seed)
        runner = self.run(folder, wait, onEvent)
        return load(runner.result_folder, nodes, outputs) if wait else runner

    @staticmethod
    def run(folder: Path, wait: bool = True, onEvent: Callable[[dict[str, Any]], Any] | None = None) -> JobRunner:
        """Run a job folder in a child process, in the same way as the panel does.

        Args:
            folder: with its job.json.
            wait: False returns at once; poll the runner then.
            onEvent: called with each event of the job while waiting.

        Raises:
            InputError: bad input.
            RuntimeError: the computation failed; the text says why and what to do.
        """
        runner = JobRunner(folder, userCommand(), userEnvironment(userOverlay()))
        runner.start()
        if wait:
            runner.wait(on_event=onEvent)
            failure = runner.failure()
            if failure is not None and failure["kind"] == "input":
                raise InputError(failure["message"], failure["hint"])
            if failure is not None:
                raise RuntimeError(f"{failure['message']} {failure['hint']}".strip())
        return runner
