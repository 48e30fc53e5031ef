"""Files of measured fields: Institut Fresnel, MATLAB, HDF5; what contradicts itself is refused or doubted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from deeprecon.data.errors import InputError
from deeprecon.scattering.physics.arrangement import Arrangement
from deeprecon.scattering.physics.region import Region
from deeprecon.scattering.read.field_checks import check_region, with_doubts
from deeprecon.scattering.read.measurements import is_measurement, read_measurement
from deeprecon.scattering.read.scattered_fields import SPEED_OF_LIGHT, Band, ScatteredFields
from deeprecon.scattering.write.field_file import write_field_file

from .conftest import circle, simulate_fields

HEADER = """# Institut Fresnel, Marseille, FRANCE
# Polarization : TM (E //)
# Number of frequencies : 2 (2 --> 3 GHz, step 1 GHz)
# Number of views : 4
# Number of receivers : 31 per view.
"""


def fresnel_text(header: str = HEADER, views: int = 4) -> list[str]:
    """Lines of a file in the layout of the 2005 set: a weak point scatterer 20 mm from the center."""
    lines = header.splitlines()
    for view in range(views):
        for receiver in range(31):
            degrees = (view * 90 + 60 + 8 * receiver) % 360
            for ghz in (2.0, 3.0):
                k = 2 * np.pi * 1e9 * ghz / SPEED_OF_LIGHT
                source = 1.67 * np.array([np.cos(view * np.pi / 2), np.sin(view * np.pi / 2)])
                place = 1.67 * np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
                a = Arrangement(source[None], place[None, None])
                incident = 3 * a.direct(k)[0, 0].conj()
                point = np.array([[0.02, 0.0]])
                scattered = 3 * (a.arriving(k, point) * a.leaving(k, place[None], point))[0, 0].conj()
                total = incident + scattered
                numbers = f"{total.real:.8e} {total.imag:.8e} {incident.real:.8e} {incident.imag:.8e}"
                lines.append(f"  {view + 1}   {degrees + 1}   {ghz}  {numbers}")
    return lines


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as error:
        read_measurement(path)
    return str(error.value)


def codes(fields: ScatteredFields) -> list[str]:
    return [doubt.code for doubt in fields.doubts]


# ---- Institut Fresnel


@pytest.fixture
def write_fresnel(tmp_path: Path) -> Callable[[list[str]], Path]:
    def write(lines: list[str]) -> Path:
        path = tmp_path / "object.exp"
        path.write_text("\n".join(lines) + "\n", encoding="latin-1")
        return path

    return write


def test_a_fresnel_file_has_the_published_positions(write_fresnel: Any) -> None:
    path = write_fresnel(fresnel_text())
    assert is_measurement(path)
    fields = read_measurement(path)
    assert codes(fields) == []
    assert [band.frequency for band in fields.bands] == [2e9, 3e9]
    np.testing.assert_allclose(fields.arrangement.source, circle(4, 1.67), atol=1e-12)
    angle = np.degrees(np.arctan2(*fields.arrangement.receiver[1].T[::-1])) % 360
    np.testing.assert_allclose(angle, (150 + 8 * np.arange(31)) % 360, atol=1e-9)
    assert fields.side == 0.15
    k = fields.k(fields.bands[0])
    expected = 3 * fields.arrangement.direct(k)  # exp(-iwt)
    np.testing.assert_allclose(fields.bands[0].incident, expected, rtol=1e-6)


def test_the_set_of_2001_has_receivers_every_5_degrees(write_fresnel: Any) -> None:
    rows = ["# Number of views : 36"]
    for view in range(36):
        for receiver in range(49):
            rows.append(f"{view + 1} {(2 * view + 12 + receiver) % 72 + 1} 4 1.0 0.5 0.9 0.4")
    fields = read_measurement(write_fresnel(rows))
    np.testing.assert_allclose(fields.arrangement.source, circle(36, 0.72), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(fields.arrangement.receiver, axis=-1), 0.76)
    apart = np.einsum("vd,vrd->vr", fields.arrangement.source, fields.arrangement.receiver) / 0.72 / 0.76
    assert np.degrees(np.arccos(apart.max())) == pytest.approx(60)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: [*rows[:5], *(row.rsplit(maxsplit=1)[0] for row in rows[5:])], "6 columns, expected 7"),
        (lambda rows: [*rows[:5], *(f"0.5 {row}".rsplit(maxsplit=1)[0] for row in rows[5:])], "numbers of views"),
        (lambda rows: [row.replace("TM", "TE") for row in rows], "TE polarization"),
        (
            lambda rows: [row.replace("   3.0  ", "   2.5  ") if row.startswith("  2 ") else row for row in rows],
            "other",
        ),
        (lambda rows: [row for row in rows if not row.startswith("  4 ")], "states 4 views and holds 3"),
        (lambda rows: [*rows[:5], *(" ".join([*r.split()[:5], "0", "0"]) for r in rows[5:])], "no incident field"),
        (lambda rows: rows[:-2], "receivers"),
        (lambda rows: rows[:5], "no lines of numbers"),
        (lambda rows: [*rows[:5], *(r.replace("   2.0  ", "   2e9  ") for r in rows[5:])], "expected GHz"),
    ],
)
def test_other_columns_and_views_that_differ_are_refused(change: Any, words: str, write_fresnel: Any) -> None:
    assert words in refusal(write_fresnel(change(fresnel_text())))


def test_receivers_next_to_their_source_are_not_those_of_the_papers(write_fresnel: Any) -> None:
    rows = [
        " ".join([*row.split()[:1], str(int(row.split()[1]) % 100), *row.split()[2:]]) for row in fresnel_text()[5:]
    ]
    assert "degrees from its source" in refusal(write_fresnel(rows))


# ---- HDF5 and MATLAB


def test_hdf5_keeps_fields_geometry_and_what_was_not_measured(tmp_path: Path) -> None:
    given = simulate_fields()
    used = given.bands[0].used.copy()
    used[2, 5] = False
    given = replace(given, bands=(replace(given.bands[0], used=used), given.bands[1]))
    write_field_file(tmp_path / "fields.h5", given)
    assert is_measurement(tmp_path / "fields.h5")
    found = read_measurement(tmp_path / "fields.h5")
    assert codes(found) == []
    np.testing.assert_array_equal(found.arrangement.receiver, given.arrangement.receiver)
    np.testing.assert_array_equal(found.bands[0].used, used)
    np.testing.assert_array_equal(found.bands[1].scattered, given.bands[1].scattered)
    assert (found.side, found.speed, found.calibrated) == (0.12, SPEED_OF_LIGHT, False)


def matlab(given: ScatteredFields) -> dict[str, Any]:
    """Variables of a .mat file: total field, exp(+iwt), mm, angles in degrees."""
    scattered = np.stack([band.scattered for band in given.bands])
    incident = np.stack([band.incident for band in given.bands])
    return {
        "time_convention": "exp(+iwt)",
        "length_unit": "mm",
        "speed": SPEED_OF_LIGHT,
        "source_kind": "line",
        "receiver_kind": "near",
        "frequency": np.array([band.frequency for band in given.bands]),
        "source_angle": np.arange(6) * 60.0,
        "source_radius": 500.0,
        "receiver_angle": np.degrees(0.01 + 2 * np.pi * np.arange(48) / 48),
        "receiver_radius": 500.0,
        "angle_unit": "degrees",
        "total": (scattered + incident).conj(),
        "incident": incident.conj(),
        "side": 120.0,
    }


def test_matlab_files_are_read_in_their_units_and_time_convention(tmp_path: Path) -> None:
    given = simulate_fields()
    savemat(tmp_path / "fields.mat", matlab(given))
    found = read_measurement(tmp_path / "fields.mat")
    assert codes(found) == []
    np.testing.assert_allclose(found.arrangement.source, given.arrangement.source, atol=1e-12)
    np.testing.assert_allclose(found.arrangement.receiver, given.arrangement.receiver, atol=1e-12)
    np.testing.assert_allclose(found.bands[1].scattered, given.bands[1].scattered, atol=1e-12)
    assert found.side == pytest.approx(0.12)


def test_matlab_files_of_version_7_3_have_their_axes_reversed(tmp_path: Path) -> None:
    given = simulate_fields()
    compound = np.dtype([("real", "f8"), ("imag", "f8")])
    with h5py.File(tmp_path / "fields.mat", "w") as file:
        for name, value in matlab(given).items():
            if isinstance(value, str):
                file[name] = np.array([[ord(letter)] for letter in value], np.uint16)
                continue
            array = np.atleast_2d(value)
            if np.iscomplexobj(array):
                stored = np.empty(array.T.shape, compound)
                stored["real"], stored["imag"] = array.T.real, array.T.imag
                file[name] = stored
            else:
                file[name] = array.T
    found = read_measurement(tmp_path / "fields.mat")
    np.testing.assert_allclose(found.bands[0].incident, given.bands[0].incident, atol=1e-12)
    np.testing.assert_allclose(found.arrangement.receiver, given.arrangement.receiver, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"receiver_angle": 0.01 + 2 * np.pi * np.arange(48) / 48}, "look like radians"),
        ({"angle_unit": "radians"}, "look like degrees"),
        ({"incident": None}, "no incident field"),
        ({"time_convention": "exp(iwt)"}, "time_convention is"),
        ({"length_unit": None}, "does not state length_unit"),
        ({"total": np.zeros((2, 48, 6), complex)}, "Views and receivers are exchanged"),
        ({"frequency": np.array([2e9, 2e9])}, "a frequency occurs twice"),
        ({"source_kind": "point"}, "point sources with 2 coordinates"),
        ({"speed": 0.3}, "expected m/s"),
        ({"total": None}, "either total or scattered"),
    ],
)
def test_missing_or_contradictory_content_is_refused(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    values = {name: value for name, value in (matlab(simulate_fields()) | change).items() if value is not None}
    savemat(tmp_path / "fields.mat", values)
    assert words in refusal(tmp_path / "fields.mat")


# ---- contradictions in the fields


def test_the_opposite_time_convention_is_doubted() -> None:
    given = simulate_fields()
    bands = tuple(
        Band(band.frequency, band.scattered.conj(), np.conj(band.incident), band.used) for band in given.bands
    )
    (doubt,) = with_doubts(given.with_bands(bands)).doubts
    assert doubt.code == "time-convention-doubtful"
    assert not doubt.assumed


@pytest.mark.parametrize("factor", [0.85, 1.15])
def test_a_wrong_wave_number_is_doubted(factor: float) -> None:
    (doubt,) = with_doubts(replace(simulate_fields((12e9, 14e9)), speed=factor * SPEED_OF_LIGHT)).doubts
    assert doubt.code == "wave-number-doubtful"


@pytest.mark.parametrize("value", [0.0, 3.0 - 1.0j])
def test_a_receiver_that_measures_nothing_or_always_the_same_is_left_out(value: complex) -> None:
    given = simulate_fields()
    bands = []
    for band in given.bands:
        total = band.scattered + band.incident
        total[:, 7] = value
        bands.append(replace(band, scattered=total - band.incident))
    if not value:  # a dead channel has no incident field either
        bands = [replace(b, incident=np.where(np.arange(48) == 7, 0, b.incident), scattered=b.scattered) for b in bands]
        bands = [replace(b, scattered=np.where(np.arange(48) == 7, 0, b.scattered)) for b in bands]
    found = with_doubts(given.with_bands(tuple(bands)))
    assert codes(found) == ["receiver-dead"]
    assert found.doubts[0].assumed
    assert [bool(x) for x in found.bands[0].used.all(axis=0)] == [index != 7 for index in range(48)]


def test_receivers_whose_numbers_run_the_other_way_are_not_reciprocal() -> None:
    given = simulate_fields((3e9, 4e9, 5e9))
    places = circle(48, 0.5)
    right = Arrangement(given.arrangement.source, np.broadcast_to(places, (6, 48, 2)))
    from scattering_mie import cylinder_field

    bands = tuple(
        Band(
            band.frequency,
            cylinder_field(given.k(band), 0.025, 0.8, right.source, places, np.array([0.02, 0.03])),
            None,
            band.used,
        )
        for band in given.bands
    )
    fields = replace(given, arrangement=right, bands=bands, calibrated=True)
    assert codes(with_doubts(fields)) == []
    turned = Arrangement(right.source, np.broadcast_to(places * [1, -1], (6, 48, 2)))
    assert codes(with_doubts(replace(fields, arrangement=turned))) == ["not-reciprocal"]


def test_antennas_inside_the_region_and_impossible_units_are_refused() -> None:
    fields = simulate_fields()
    with pytest.raises(InputError, match=r"receivers? lies? inside|sources? lies? inside|lie inside"):
        check_region(fields, Region(np.zeros(2), 1.2, 32))
    in_ghz = fields.with_bands(tuple(replace(band, frequency=band.frequency / 1e9) for band in fields.bands))
    with pytest.raises(InputError, match="frequencies in Hz"):
        check_region(in_ghz, Region(np.zeros(2), 0.12, 32))
    check_region(fields, Region(np.zeros(2), 0.12, 32))


def test_directions_must_be_unit_vectors(tmp_path: Path) -> None:
    given = simulate_fields()
    wrong = replace(given, arrangement=replace(given.arrangement, plane_waves=True))
    with pytest.raises(InputError, match="whose length must be 1"):
        write_field_file(tmp_path / "fields.h5", wrong)
