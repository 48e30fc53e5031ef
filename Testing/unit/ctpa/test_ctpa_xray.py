"""X-rays on the detector's pixels: place, orientation and scale against images whose content is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deeprecon.ctpa.grid import PREVIEW, Grid
from deeprecon.ctpa.observe.film import acquisition_geometry, film_on_detector, standardize, standardized_xray
from deeprecon.ctpa.observe.projection import Beam, Geometry, View, detector_axes, expose, line_integrals
from deeprecon.ctpa.parameters import BeamName, SynthesizeParameters, Turn, XrayView
from deeprecon.ctpa.simulate.chests import draw_grid, make_anatomy
from deeprecon.ctpa.simulate.files import write_xray
from deeprecon.data.errors import InputError
from deeprecon.data.radiograph import Radiograph, read_radiograph

GRID, GEOMETRY = Grid((76, 64, 64)), Geometry()


def spot(rows=500, columns=400, row=130, column=290, spacing=(1.0, 0.8)):
    """Waves of gray values with a bright spot, as it hangs: row 0 is at the head."""
    y, x = np.mgrid[:rows, :columns] * np.array(spacing[::-1])[:, None, None]
    image = 0.3 + 0.1 * np.sin(2 * np.pi * x / 120) + 0.05 * np.sin(2 * np.pi * (x + y) / 150)
    image += 0.5 * np.exp(-(((y - row * spacing[1]) / 12) ** 2) - ((x - column * spacing[0]) / 12) ** 2)
    return Radiograph(image.astype(np.float32), spacing, "PA", "spot")


def brightest(image):
    """(v, u) in mm of the spot."""
    v, u = detector_axes(GRID, GEOMETRY)
    row, column = np.unravel_index(image.argmax(), image.shape)
    return v[row], u[column]


def test_a_place_in_the_image_keeps_its_millimeters():
    v, u = brightest(film_on_detector(spot(), GEOMETRY, GRID).image)
    assert u == pytest.approx((290 - 199.5) * 1.0, abs=3.5)  # half a pixel; to the patient's left
    assert v == pytest.approx(-(130 - 249.5) * 0.8, abs=3.5)  # towards the head


def test_turn_and_flip_undo_what_was_done_to_the_image():
    original = spot()
    right = film_on_detector(original, GEOMETRY, GRID).image
    turned = Radiograph(np.rot90(original.image), (0.8, 1.0), "PA", "turned")  # counter-clockwise
    np.testing.assert_allclose(film_on_detector(turned, GEOMETRY, GRID, turn=Turn.QUARTER).image, right, atol=1e-5)
    upside_down = Radiograph(original.image[::-1, ::-1], (1.0, 0.8), "PA", "upside down")
    np.testing.assert_allclose(film_on_detector(upside_down, GEOMETRY, GRID, turn=Turn.HALF).image, right, atol=1e-5)
    mirrored = Radiograph(original.image[:, ::-1], (1.0, 0.8), "PA", "mirrored")
    np.testing.assert_allclose(film_on_detector(mirrored, GEOMETRY, GRID, flip=True).image, right, atol=1e-5)
    negative = Radiograph(1 - original.image, (1.0, 0.8), "PA", "negative")
    np.testing.assert_allclose(film_on_detector(negative, GEOMETRY, GRID, invert=True).image, right, atol=1e-5)


def test_nothing_is_flipped_unless_asked():
    image = film_on_detector(spot(row=60), GEOMETRY, GRID).image
    assert brightest(image)[0] > 100  # what is at the top of the image is at the head


def test_an_xray_of_a_phantom_comes_back_from_its_file(tmp_path):
    hu, _ = draw_grid(make_anatomy(3), GRID)
    exposed = expose(line_integrals(hu, GRID, GEOMETRY), np.random.default_rng(0))
    write_xray(tmp_path / "xray.nii.gz", exposed, GRID, GEOMETRY)
    found = read_radiograph(tmp_path / "xray.nii.gz")
    np.testing.assert_allclose(film_on_detector(found, GEOMETRY, GRID).image, standardize(exposed), atol=1e-4)


def test_fine_and_coarse_grids_see_the_same_image():
    fine = film_on_detector(spot(), GEOMETRY, PREVIEW).image
    coarse = film_on_detector(spot(), GEOMETRY, GRID).image
    mean = fine.reshape(76, 4, 64, 4).mean(axis=(1, 3))
    assert np.abs(mean - coarse).max() < 0.15  # of an interquartile range


def test_small_details_are_averaged_not_skipped():
    """Lines finer than the detector's pixels must give their mean: no pixel may be picked out of many."""
    lines = spot(2000, 1600, spacing=(0.25, 0.2))
    image = lines.image + 0.2 * (np.arange(2000)[:, None] % 2)
    striped = film_on_detector(Radiograph(image.astype(np.float32), (0.25, 0.2), "PA", "x"), GEOMETRY, GRID).image
    smooth = film_on_detector(lines, GEOMETRY, GRID).image
    assert np.abs(striped - smooth).max() < 0.05


def test_gain_offset_and_air_around_the_patient_make_no_difference():
    hu, _ = draw_grid(make_anatomy(5), GRID)
    image = line_integrals(hu, GRID, GEOMETRY)
    standardized = standardize(image)
    np.testing.assert_allclose(standardize(1.7 * image - 0.4), standardized, atol=1e-5)
    wide = np.pad(image, ((0, 0), (6, 6)), mode="edge")
    assert np.abs(standardize(wide)[:, 6:-6] - standardized).max() < 0.05
    body = standardized[image > 2]
    assert abs(np.median(body)) < 0.3
    assert np.ptp(np.percentile(body, (25, 75))) == pytest.approx(1, abs=0.25)


def test_what_lies_outside_of_the_film_does_not_set_its_scale():
    image = line_integrals(draw_grid(make_anatomy(5), GRID)[0], GRID, GEOMETRY)
    covered = np.zeros(image.shape, bool)
    covered[10:-10, 10:-10] = True
    film = standardize(image, covered)[covered]
    np.testing.assert_array_equal(standardize(np.where(covered, image, 50), covered)[covered], film)
    np.testing.assert_allclose(film, standardize(image[10:-10, 10:-10]).ravel(), atol=1e-6)


def test_more_gray_values_are_kept_than_eight_bits_hold():
    ramp = np.linspace(0, 1, 4096 * 64).reshape(512, 512).astype(np.float32)
    image = film_on_detector(Radiograph(ramp, (0.8, 0.8), "PA", "x"), GEOMETRY, PREVIEW).image
    assert len(np.unique(image)) > 5000


def test_one_marker_does_not_rescale_the_image():
    image = spot().image.copy()
    clean = film_on_detector(Radiograph(image, (1.0, 0.8), "PA", "x"), GEOMETRY, GRID).image
    image[20:30, 20:50] = 5
    marked = film_on_detector(Radiograph(image, (1.0, 0.8), "PA", "x"), GEOMETRY, GRID).image
    assert np.abs(marked - clean)[:60, 12:].max() < 0.05
    assert marked.max() <= 4


def test_assumptions_are_noted():
    assert film_on_detector(spot(), GEOMETRY, GRID).notes == ()
    unknown = film_on_detector(Radiograph(spot().image, None, "", "x"), GEOMETRY, GRID)
    assert "it is taken as PA" in unknown.notes[0]
    assert "taken as 0.860 mm" in unknown.notes[1]  # 430 mm over 500 rows
    given = film_on_detector(Radiograph(spot().image, None, "PA", "x"), GEOMETRY, GRID, pixel_spacing=0.86)
    np.testing.assert_array_equal(given.image, unknown.image)
    small = film_on_detector(Radiograph(spot().image, (0.5, 0.5), "PA", "x"), GEOMETRY, GRID)
    assert "200 x 250 mm of the" in small.notes[0]
    assert np.isfinite(small.image).all()
    assert small.covered.mean() == pytest.approx(200 * 250 / (403 * 411), rel=0.1)
    assert film_on_detector(spot(), GEOMETRY, GRID).covered.mean() > 0.94


def test_the_view_is_the_users_then_the_files_then_pa():
    assert acquisition_geometry("AP") == Geometry(Beam.CONE, View.AP, 1000.0)
    assert acquisition_geometry("") == Geometry(Beam.CONE, View.PA, 1800.0)
    assert acquisition_geometry("", source_distance=1500).source_distance == 1500
    chosen = SynthesizeParameters(view=XrayView.AP, beam=BeamName.PARALLEL)
    assert standardized_xray(spot(), chosen, GRID)[1] == Geometry(Beam.PARALLEL, View.AP, 1000.0)
    film = replace(spot(), view="AP", source_distance=1500.0)
    assert standardized_xray(film, SynthesizeParameters(), GRID)[1] == Geometry(Beam.CONE, View.AP, 1500.0)
    assert standardized_xray(film, SynthesizeParameters(source_distance=900.0), GRID)[1].source_distance == 900


def test_a_view_that_the_user_gave_was_not_assumed():
    silent = replace(spot(), view="")
    assert len(standardized_xray(silent, SynthesizeParameters(), GRID)[0].notes) == 1
    assert standardized_xray(silent, SynthesizeParameters(view=XrayView.PA), GRID)[0].notes == ()


def test_a_tube_inside_of_the_patient_is_refused():
    assert SynthesizeParameters(source_distance=300.0).validate() == [
        "source_distance is 300, expected 500 to 5000 mm, or 0"
    ]
    assert (
        SynthesizeParameters(source_distance=0.0).validate()
        == SynthesizeParameters(source_distance=1500.0).validate()
        == []
    )


def test_an_image_of_black_and_white_alone_is_refused():
    image = np.zeros((200, 200), np.float32)
    image[50:150, 50:150] = 1
    with pytest.raises(InputError, match="no gray values"):
        film_on_detector(Radiograph(image, (2.0, 2.0), "PA", "stamp.png"), GEOMETRY, GRID)
