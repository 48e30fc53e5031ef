"""The verb `prepare`: pairs of CT and X-ray are brought onto one grid, into a store for training."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import HIGH, LOW, PRESETS, Grid, Hu, resample_labels
from deeprecon.ctpa.observe.alignment import find_shift
from deeprecon.ctpa.observe.ct_checks import ct_doubts
from deeprecon.ctpa.observe.film import XrayImage, acquisition_geometry, film_on_detector, standardize
from deeprecon.ctpa.observe.film_checks import film_doubts
from deeprecon.ctpa.observe.placement import PlacedCt, known_pixels, place
from deeprecon.ctpa.observe.projection import Geometry, expose, line_integrals
from deeprecon.ctpa.parameters import (
    BeamName,
    PrepareInputs,
    PrepareParameters,
    Preset,
    XrayView,
)
from deeprecon.ctpa.read.manifest import (
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    Pair,
    read_manifest,
    source_sha256,
    split_patients,
)
from deeprecon.ctpa.training.store import CUBE, FORMAT, STORE, write_case
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.files import write_json
from deeprecon.data.labels_on_grid import labels_on_grid
from deeprecon.data.radiograph import continued, read_radiograph
from deeprecon.data.tables import write_table
from deeprecon.data.volume_io import read_volume
from deeprecon.jobs.failures import explain_exception
from deeprecon.jobs.run import Outcome, Run, Stopped

Encode = Callable[[Hu], npt.NDArray[np.float32]]

MIN_CORRELATION = 0.5
"""Minimum correlation of an X-ray with the projection of its CT: films of other patients reach 0.3 to 0.5."""
MIN_ADVANTAGE = 0.03
"""Minimum by which a turned film correlates better than the given one, for the given one to be doubted."""
RECORD = "case.json"


def prepare(inputs: PrepareInputs, parameters: PrepareParameters, run: Run) -> Outcome:
    """Make a store of the pairs of a manifest; see `deeprecon.ctpa.training.store`.

    A pair that cannot be used is left out and listed in refused.csv with the reason. Finished cases are in the
    checkpoint, so that an interrupted run resumes.

    Raises:
        InputError: the manifest or the bundle cannot be used, or no pair could.
    """
    pairs = read_manifest(inputs.manifest)
    grid = PRESETS[parameters.preset.value]
    encode, bundle = _encoder(inputs.bundle, parameters.preset, run)
    settings = {
        "format": FORMAT,
        "preset": parameters.preset.value,
        "beam": parameters.beam.value,
        "seed": run.seed,
        "bundle": bundle,
        "precision": None if bundle is None else run.precision,
    }
    waiting = run.checkpoint / "cases"
    waiting.mkdir(parents=True, exist_ok=True)
    records: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    rows: dict[str, int] = {}
    for index, pair in enumerate(pairs):
        if run.should_stop():
            raise Stopped
        run.reporter.status(f"Preparing pair {index + 1} of {len(pairs)}")
        try:
            sources = _sources(pair)
            first = rows.setdefault(sources["ct"], pair.row)
            if first != pair.row:
                raise InputError(f"{pair.ct} is the same CT as that of row {first}.", "List each CT once.")
            records.append(_prepare_pair(pair, sources, grid, settings, encode, waiting, run))
        except InputError as error:
            shutil.rmtree(waiting / pair.name, ignore_errors=True)
            reason = explain_exception(error).told
            refused.append({"row": pair.row, "patient": pair.patient, "ct": str(pair.ct), "reason": reason})
            run.reporter.warning(f"Row {pair.row} is left out: {reason}")
        run.reporter.progress((index + 1) / len(pairs))
    if not records:
        raise InputError(
            f"None of the {len(pairs)} pairs of {inputs.manifest.name} can be used. Row {refused[0]['row']}: "
            f"{refused[0]['reason']}",
            "Mend the manifest or its files; options that are named are columns of the manifest.",
        )
    return _write_store(records, refused, grid, settings, parameters, run)


def _encoder(bundle: Path | None, preset: Preset, run: Run) -> tuple[Encode | None, str | None]:
    """The encoder, and the checksum of its bundle; None without a bundle."""
    if bundle is None:
        return None, None
    from deeprecon.ctpa.diffusion.model import load_encoder

    return load_encoder(bundle, run.device, run.precision, coarser=1 if preset is Preset.PREVIEW else 0)


def _sources(pair: Pair) -> dict[str, str]:
    """Checksums of a pair's files by role.

    Raises:
        InputError: a file is missing, or a setting of the X-ray is none.
    """
    for role, path in pair.files().items():
        if not path.exists():
            raise InputError(f"There is no {role} {path}.", "Check the manifest; paths are relative to its folder.")
    pair.film_settings()
    return {role: source_sha256(path) for role, path in pair.files().items()}


def _prepare_pair(
    pair: Pair,
    sources: dict[str, str],
    grid: Grid,
    settings: dict[str, Any],
    encode: Encode | None,
    waiting: Path,
    run: Run,
) -> dict[str, Any]:
    """The record of a pair, whose files are in `waiting` completely or not at all."""
    key = {"settings": settings, "patient": pair.patient, "film": dict(pair.film), "sources": sources}
    folder = waiting / pair.name
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["key"] == key:
            return record
    except (OSError, ValueError, KeyError):
        pass  # not prepared yet, or with other settings
    part = waiting / f".part-{pair.name}"
    for old in (part, folder):
        shutil.rmtree(old, ignore_errors=True)
    part.mkdir()

    ct = read_volume(pair.ct)
    placed = place(ct, grid)
    run.consider((*ct_doubts(ct), *placed.doubts))
    xray, geometry = _xray(pair, placed, grid, BeamName(settings["beam"]), run)
    xray = replace(xray, covered=xray.covered & known_pixels(placed, grid, geometry))
    labels = None
    if pair.labels is not None:
        drawn, doubts = labels_on_grid(read_volume(pair.labels), ct)
        run.consider(doubts)
        labels = resample_labels(replace(ct, array=drawn), grid, placed.affine)
    latent = None if encode is None else encode(placed.hu)
    write_case(part, placed.hu, xray, labels, latent, placed.blocks)
    record = {
        "name": pair.name,
        "patient": pair.patient,
        "geometry": geometry.to_json(),
        "affine": placed.affine.tolist(),
        "projected": pair.xray is None,
        "notes": [*xray.notes, *(doubt.text for doubt in placed.doubts)],
        "sources": {role: {"name": path.name, "sha256": sources[role]} for role, path in pair.files().items()},
        "key": key,
    }
    write_json(part / RECORD, record)
    os.replace(part, folder)
    return record


def _xray(pair: Pair, ct: PlacedCt, grid: Grid, beam: BeamName, run: Run) -> tuple[XrayImage, Geometry]:
    """The pair's X-ray, registered with the CT's projection, or that projection where the pair has none."""
    settings = pair.film_settings()
    view = "" if settings.view is XrayView.AUTO else settings.view.value
    if pair.xray is None:
        geometry = acquisition_geometry(view, beam=beam)
        exposed = expose(line_integrals(ct.hu, grid, geometry), np.random.default_rng([run.seed, pair.row, 62]))
        known = known_pixels(ct, grid, geometry)
        note = "The X-ray is a projection of the CT, with scatter, noise and a gain of its own."
        return XrayImage(standardize(continued(exposed.astype(float), known), known), known, (note,)), geometry
    radiograph = read_radiograph(pair.xray)
    doubts = film_doubts(radiograph, settings)
    run.consider(doubts)
    radiograph = replace(radiograph, view=view or radiograph.view)
    geometry = acquisition_geometry(radiograph.view, beam=beam, source_distance=radiograph.source_distance)
    on_detector = partial(
        film_on_detector, radiograph, geometry, grid,
        turn=settings.turn, flip=settings.flip, invert=settings.invert, pixel_spacing=settings.pixel_spacing,
    )  # fmt: skip
    centered = on_detector()
    known = known_pixels(ct, grid, geometry)
    projection = line_integrals(ct.hu, grid, geometry)
    shift, fit = find_shift(centered, projection, grid, geometry, known)
    xray = on_detector(shift=shift)
    notes = [*xray.notes, *map(str, doubts)]
    if any(shift):
        notes.append(
            f"It was moved {shift[0]:.0f} mm towards the head and {shift[1]:.0f} mm to the left, where it fits the CT "
            f"best (correlation {fit:.2f})."
        )
    mismatch = _mismatch(centered, fit, pair, lambda image: find_shift(image, projection, grid, geometry, known)[1])
    run.consider(mismatch)
    return XrayImage(xray.image, xray.covered, (*notes, *map(str, mismatch))), geometry


def _mismatch(film: XrayImage, fit: float, pair: Pair, correlate: Callable[[XrayImage], float]) -> tuple[Doubt, ...]:
    """Whether a film is not of its CT, or not the right way round.

    Args:
        film: as given.
        fit: correlation of the film with the projection of the CT.
        pair: see there.
        correlate: the correlation of another film.
    """
    name, image, covered = str(pair.xray), film.image, film.covered
    others = {
        "mirrored": replace(film, image=image[:, ::-1], covered=covered[:, ::-1]),
        "upside down": replace(film, image=image[::-1], covered=covered[::-1]),
        "turned by 180 degrees": replace(film, image=image[::-1, ::-1], covered=covered[::-1, ::-1]),
        "inverted": replace(film, image=-image),
    }
    found = {kind: correlate(other) for kind, other in others.items()}
    best = max(found, key=lambda kind: found[kind])
    if found[best] > fit + MIN_ADVANTAGE and found[best] > MIN_CORRELATION:
        text = f"It fits the projection of {pair.ct.name} better {best} (correlation {found[best]:.2f}) than as it is"
        way_out = "Change it by --turn, --flip or --invert, or look whether it is the one of this CT."
        return (Doubt("pair-mismatch", name, f"{text} ({fit:.2f}).", way_out),)
    if fit < MIN_CORRELATION:
        text = (
            f"It fits the projection of {pair.ct.name} badly (correlation {fit:.2f}, not {MIN_CORRELATION:g} or more)"
        )
        return (Doubt("pair-mismatch", name, f"{text}.", "Give the film and the CT of one patient."),)
    return ()


def _link(source: Path, target: Path) -> None:
    """Hard-link a folder's files, so that the checkpoint stays complete; copy them where links are not supported."""

    def link(old: str, new: str) -> None:
        try:
            os.link(old, new)
        except OSError:
            shutil.copyfile(old, new)

    shutil.copytree(source, target, copy_function=link)


def _write_store(
    records: list[dict[str, Any]],
    refused: list[dict[str, Any]],
    grid: Grid,
    settings: dict[str, Any],
    parameters: PrepareParameters,
    run: Run,
) -> Outcome:
    splits = split_patients((record["patient"] for record in records), parameters.validation, parameters.test, run.seed)
    entries = [
        {name: value for name, value in record.items() if name != "key"} | {"split": splits[record["patient"]]}
        for record in records
    ]
    counts = Counter(entry["split"] for entry in entries)
    for split, share in ((TRAIN, 1.0), (VALIDATION, parameters.validation), (TEST, parameters.test)):
        if share and not counts[split]:
            run.reporter.warning(f"No patient is left for the split {split}: there are {len(splits)} in all.")
    projected = sum(entry["projected"] for entry in entries)
    if projected:
        run.reporter.warning(f"{projected} of {len(entries)} X-rays are projections of the CT, as none was given.")
    for entry in entries:
        _link(run.checkpoint / "cases" / entry["name"], run.output / "cases" / entry["name"])
    write_json(
        run.output / STORE,
        {
            "format": FORMAT,
            "preset": parameters.preset.value,
            "shape": grid.shape,
            "field": grid.field,
            "hu_range": [LOW, HIGH],
            "cube": CUBE,
            "split": {"seed": run.seed, "validation": parameters.validation, "test": parameters.test},
            "latents": settings["bundle"],
            "cases": entries,
            "refused": refused,
        },
    )
    outputs = {"store": run.output / STORE, "cases": run.output / "cases"}
    table = [
        {name: entry[name] for name in ("name", "patient", "split", "projected")}
        | {"view": entry["geometry"]["view"], "notes": " ".join(entry["notes"])}
        for entry in entries
    ]
    for name, content in (("table", table), ("refused", refused)):
        if content:
            outputs[name] = run.output / f"{'cases' if name == 'table' else name}.csv"
            write_table(outputs[name], content)
    figures = {"cases": len(entries), "refused": len(refused), "patients": len(splits), "projected": projected}
    return Outcome(outputs, figures | {split: counts[split] for split in SPLITS})
