"""Pictures for reports, drawn without a display or OpenGL, so that they also appear on a cluster node."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class View:
    """A direction to look from and the direction that is up in the picture, both (3,) in RAS."""

    name: str
    look_from: FloatArray
    up: FloatArray


def views_along(axis: FloatArray) -> list[View]:
    """Four views around an axis (3,) RAS that is to point up in the picture, and one along it."""
    up = axis / np.linalg.norm(axis)
    directions = {"anterior": (0, 1, 0), "left": (-1, 0, 0), "posterior": (0, -1, 0), "right": (1, 0, 0)}
    views = []
    for name, direction in directions.items():
        sideways = np.asarray(direction) - up * np.dot(direction, up)
        if np.linalg.norm(sideways) > 0.3:  # else the axis runs along this direction and hides it
            views.append(View(f"from {name}", sideways / np.linalg.norm(sideways), up))
    anterior = np.array([0.0, 1.0, 0.0])
    views.append(View("along the axis", -up, anterior - up * up[1]))
    return views


def surface_views(
    points: FloatArray, triangles: npt.NDArray[np.integer[Any]], values: FloatArray, views: Sequence[View], title: str
) -> bytes:
    """PNG of a surface colored by point values in [0, 1], once per view.

    Args:
        points: (N, 3) RAS mm.
        triangles: (T, 3) indices into the points.
        values: (N,) shown from white (0) to dark red (1).
    """
    plt = _pyplot()
    from matplotlib.collections import PolyCollection

    figure, axes = plt.subplots(1, len(views), figsize=(3.4 * len(views), 3.8), layout="constrained", squeeze=False)
    palette = plt.get_cmap("YlOrRd")
    corners = points[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    colors = palette(np.clip(values[triangles].mean(axis=1), 0, 1))
    for axis, view in zip(axes[0], views, strict=True):
        forward = view.look_from / np.linalg.norm(view.look_from)
        right = np.cross(view.up, forward)
        right /= np.linalg.norm(right)
        up = np.cross(forward, right)
        order = np.argsort(corners.mean(axis=1) @ forward)  # painter's algorithm: far triangles first
        light = 0.35 + 0.65 * np.abs(normals @ forward)
        shaded = np.concatenate([colors[:, :3] * light[:, None], colors[:, 3:]], axis=1)[order]
        flat = np.stack([corners @ right, corners @ up], axis=-1)[order]
        axis.add_collection(PolyCollection(list(flat), facecolors=shaded, edgecolors=shaded, linewidths=0.3))
        axis.set(title=view.name, aspect="equal")
        axis.autoscale_view()
        axis.axis("off")
    mappable = plt.cm.ScalarMappable(cmap=palette)
    mappable.set_clim(0, 1)
    figure.colorbar(mappable, ax=axes[0], shrink=0.7, label=title)
    return _png(figure)


@dataclass(frozen=True)
class Slice:
    """One slice for `montage`: a gray image (j, i) and outlines, each drawn where its map (j, i) crosses 0.5."""

    title: str
    image: FloatArray
    outlines: Mapping[str, FloatArray]
    aspect: float = 1.0


OUTLINE_COLORS = ("#35c4ff", "#ffd23f", "#ff3b30", "#7ddc5a")


def montage(slices: Sequence[Slice], columns: int = 5) -> bytes:
    """PNG of slices side by side, all in the same gray window, with a legend of the outlines."""
    plt = _pyplot()
    from matplotlib.lines import Line2D

    columns = min(columns, len(slices))
    rows = -(-len(slices) // columns)
    size = (2.5 * columns, 2.75 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    low, high = np.percentile(np.concatenate([entry.image.ravel() for entry in slices]), [1, 99.5])
    for axis in axes.ravel():
        axis.axis("off")
    for axis, entry in zip(axes.ravel(), slices, strict=False):
        axis.imshow(entry.image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=entry.aspect)
        for color, outline in zip(OUTLINE_COLORS, entry.outlines.values(), strict=False):
            if outline.min() < 0.5 < outline.max():
                axis.contour(outline, levels=[0.5], colors=[color], linewidths=1.3)
        axis.set_title(entry.title, fontsize=9)
    names = slices[0].outlines
    handles = [Line2D([], [], color=color, label=name) for color, name in zip(OUTLINE_COLORS, names, strict=False)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return _png(figure)


def curves(series: Mapping[str, Sequence[float]], steps: Sequence[int], label: str) -> bytes:
    """PNG of training curves over the step, on a logarithmic axis."""
    plt = _pyplot()
    figure, axis = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
    for name, values in series.items():
        axis.plot(steps, values, label=name)
    axis.set(xlabel="step", ylabel=label, yscale="log")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    return _png(figure)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _png(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    _pyplot().close(figure)
    return stream.getvalue()
