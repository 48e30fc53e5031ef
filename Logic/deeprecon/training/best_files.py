"""The best weights of a training as files, so that one may be chosen afterwards by more than the held-out figure."""

from __future__ import annotations

import math
from pathlib import Path

from torch import nn

from deeprecon.training.checkpoint import save_checkpoint


class BestFiles:
    """Keeps the weights of the `count` epochs with the lowest figures: NAME-epochNNNNN-FIGURE.safetensors.

    The names of the files hold all that is needed, so that nothing has to be saved for resuming.

    Args:
        folder: where they lie; made where missing.
        name: of the training.
        count: files to keep.
    """

    def __init__(self, folder: Path, name: str, count: int) -> None:
        self._folder, self._name, self._count = folder, name, count

    def files(self) -> list[Path]:
        """The files that are there, the best first."""
        return sorted(self._folder.glob(f"{self._name}-epoch*-*.safetensors"), key=lambda path: (_figure(path), path))

    def update(self, epoch: int, figure: float, model: nn.Module) -> None:
        """Keep the weights if they are among the best; one with a figure that is not finite is not."""
        files = self.files()
        for path in files:
            if path.name.startswith(f"{self._name}-epoch{epoch:05d}-"):  # of the same epoch before an interruption
                path.unlink()
                files.remove(path)
                break
        if not math.isfinite(figure) or (len(files) >= self._count and figure >= _figure(files[self._count - 1])):
            return
        path = self._folder / f"{self._name}-epoch{epoch:05d}-{figure:.6g}.safetensors"
        save_checkpoint(path, {"epoch": epoch, "figure": figure, "model": model.state_dict()})
        for path in self.files()[self._count :]:
            path.unlink()


def _figure(path: Path) -> float:
    return float(path.stem.partition("-epoch")[2].partition("-")[2])
