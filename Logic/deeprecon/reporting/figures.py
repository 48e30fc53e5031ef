"""Pictures for reports, drawn without a display or OpenGL, so that they also appear on a cluster node."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.reporting.orientation import AS_STORED, Orientation

FloatArray = npt.NDArray[np.floating[Any]]

PICTURE_SIZE = 480  # along the longer side of a surface in its picture
MAX_TRIANGLE = 0.8  # pixels, edge of a triangle's pieces: small enough to leave no holes


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
    plt = pyplot()
    figure, axes = plt.subplots(1, len(views), figsize=(3.4 * len(views), 3.8), layout="constrained", squeeze=False)
    palette = plt.get_cmap("YlOrRd")
    corners = points[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    for axis, view in zip(axes[0], views, strict=True):
        forward = view.look_from / np.linalg.norm(view.look_from)
        right = np.cross(view.up, forward)
        right /= np.linalg.norm(right)
        seen = corners @ np.stack([right, np.cross(forward, right), forward], axis=1)
        low, high = seen[..., :2].min(axis=(0, 1)), seen[..., :2].max(axis=(0, 1))
        pixel = max(float((high - low).max()) / PICTURE_SIZE, 1e-9)
        seen[..., :2] = (seen[..., :2] - low) / pixel
        nearest, shown = _render(seen, values[triangles])
        picture = palette(np.clip(shown, 0, 1))
        picture[..., :3] *= (0.35 + 0.65 * np.abs(normals @ forward))[nearest][..., None]
        picture[nearest < 0] = 0
        axis.imshow(picture, origin="lower")
        axis.set(title=view.name)
        axis.axis("off")
    mappable = plt.cm.ScalarMappable(cmap=palette)
    mappable.set_clim(0, 1)
    figure.colorbar(mappable, ax=axes[0], shrink=0.7, label=title)
    return png(figure)


def _render(corners: FloatArray, values: FloatArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Which triangle is nearest in each pixel, and its value there.

    Triangles are cut into pieces no longer than a pixel and the middle of each piece is a dot, so that the time
    depends on the picture's size more than on the number of triangles.

    Args:
        corners: (T, 3, 3) x and y in pixels, not negative, and nearness of each corner.
        values: (T, 3) at the corners.

    Returns:
        (rows, columns) index of the triangle, -1 where there is none, and its value, 0 where there is none.
    """
    columns, rows = (int(largest) + 2 for largest in corners[..., :2].max(axis=(0, 1)))  # one to spare for rounding
    depth = np.full(rows * columns, -np.inf)
    nearest, shown = np.full(depth.shape, -1, np.int64), np.zeros(depth.shape)
    edges = np.linalg.norm(corners[..., :2] - np.roll(corners[..., :2], 1, axis=1), axis=-1).max(axis=1)
    cuts = np.maximum(1, np.ceil(edges / MAX_TRIANGLE)).astype(int)
    for count in np.unique(cuts):
        chosen = np.flatnonzero(cuts == count)
        weights = _triangle_centers(int(count))
        for part in np.array_split(chosen, -(-len(chosen) * len(weights) // 500_000)):
            dots = weights @ np.concatenate([corners[part], values[part][..., None]], axis=-1)
            x, y, z, value = dots.reshape(-1, 4).T
            place = y.astype(np.int64) * columns + x.astype(np.int64)
            np.maximum.at(depth, place, z)
            front = np.flatnonzero(z == depth[place])
            nearest[place[front]] = np.repeat(part, len(weights))[front]
            shown[place[front]] = value[front]
    return nearest.reshape(rows, columns), shown.reshape(rows, columns)


def _triangle_centers(count: int) -> FloatArray:
    """(count^2, 3) barycentric middles of the equal triangles into which a triangle is cut, `count` along each edge."""
    i, j = (index.ravel() for index in np.indices((count, count)))
    upright, turned = i + j < count, i + j < count - 1
    first = np.concatenate([i[upright] + 1 / 3, i[turned] + 2 / 3]) / count
    second = np.concatenate([j[upright] + 1 / 3, j[turned] + 2 / 3]) / count
    return np.stack([first, second, 1 - first - second], axis=1)


@dataclass(frozen=True)
class Slice:
    """One slice for `montage`: a gray image (j, i), outlines, each drawn where its map (j, i) crosses 0.5, and how
    these arrays are turned to be shown."""

    title: str
    image: FloatArray
    outlines: Mapping[str, FloatArray]
    view: Orientation = AS_STORED


OUTLINE_COLORS = ("#35c4ff", "#ffd23f", "#ff3b30", "#7ddc5a")


def montage(slices: Sequence[Slice], columns: int = 5) -> bytes:
    """PNG of slices side by side, all in the same gray window, with a legend of the outlines."""
    plt = pyplot()
    from matplotlib.lines import Line2D

    columns = min(columns, len(slices))
    rows = -(-len(slices) // columns)
    size = (2.5 * columns, 2.75 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    figure.get_layout_engine().set(h_pad=0.08)  # else the upper titles are cut
    low, high = np.percentile(np.concatenate([entry.image.ravel() for entry in slices]), [1, 99.5])
    for axis in axes.ravel():
        axis.axis("off")
    for axis, entry in zip(axes.ravel(), slices, strict=False):
        image, view = entry.view.turned(entry.image), entry.view
        axis.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=view.aspect)
        view.draw_letters(axis)
        for color, outline in zip(OUTLINE_COLORS, entry.outlines.values(), strict=False):
            if outline.min() < 0.5 < outline.max():
                axis.contour(view.turned(outline), levels=[0.5], colors=[color], linewidths=1.3)
        axis.set_title(entry.title, fontsize=9)
    names = slices[0].outlines
    handles = [Line2D([], [], color=color, label=name) for color, name in zip(OUTLINE_COLORS, names, strict=False)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return png(figure)


def curves(series: Mapping[str, Sequence[float]], steps: Sequence[int], label: str) -> bytes:
    """PNG of training curves over the step, on a logarithmic axis."""
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
    for name, values in series.items():
        axis.plot(steps, values, label=name)
    axis.set(xlabel="step", ylabel=label, yscale="log")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    return png(figure)


def histogram(
    edges: FloatArray, counts: FloatArray, parts: Mapping[str, FloatArray], levels: Mapping[str, float], label: str
) -> bytes:
    """PNG of a histogram with the parts that explain it and their sum.

    Args:
        edges: (H + 1,) of the bins.
        counts: (H,) in each bin.
        parts: name -> (H,) expected counts.
        levels: name -> value, marked by a line in the color of the part of that name.
        label: of the values.
    """
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
    centers = (edges[1:] + edges[:-1]) / 2
    axis.stairs(counts, edges, fill=True, color="0.85", label="pixels")
    colors = {name: f"C{number}" for number, name in enumerate(dict.fromkeys([*parts, *levels]))}
    for name, expected in parts.items():
        axis.plot(centers, expected, color=colors[name], label=name)
    axis.plot(centers, sum(parts.values(), np.zeros(len(centers))), color="black", linestyle=":", label="all")
    for name, level in levels.items():
        axis.axvline(level, color=colors[name], linestyle="--", label=None if name in parts else name)
    axis.set(xlabel=label, ylabel="pixels", ylim=(0, 1.1 * float(counts.max(initial=1))))
    axis.legend(frameon=False)
    return png(figure)


def pyplot() -> Any:
    """matplotlib.pyplot, drawing without a display."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def png(figure: Any) -> bytes:
    """A figure as a PNG file; the figure is closed."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    pyplot().close(figure)
    return stream.getvalue()
