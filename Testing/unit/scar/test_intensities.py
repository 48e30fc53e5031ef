"""From intensities to scar."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.scar.observe.intensities import levels, scar_and_core, scar_fraction
from deeprecon.scar.thresholds import Threshold, parse_threshold

SHAPE = (4, 40, 40)


def image(array: np.ndarray) -> Volume:
    return Volume(array, np.eye(4), "LGE")


def wall_with_scar(share: float = 0.2, noise: float = 10.0, seed: int = 0) -> tuple[Volume, np.ndarray, np.ndarray]:
    """A wall everywhere, healthy 100 and scar 400, with noise."""
    rng = np.random.default_rng(seed)
    scar = np.zeros(SHAPE)
    scar[:, :, : round(share * SHAPE[2])] = 1
    return image(100 + 300 * scar + rng.normal(0, noise, SHAPE)), np.ones(SHAPE, np.float32), scar


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nsd:5", Threshold("nsd", 5)),
        (" NSD:2.5 ", Threshold("nsd", 2.5)),
        ("fwhm", Threshold("fwhm")),
        ("max:60", Threshold("max", 60)),
        ("otsu", Threshold("otsu")),
    ],
)
def test_rules_are_read(text, expected):
    assert parse_threshold(text) == expected


@pytest.mark.parametrize(
    "text", ["", "nsd", "nsd:", "nsd:x", "nsd:-1", "nsd:nan", "max:0", "max:100", "max:inf", "fwhm:2", "otsu:", "sd:5"]
)
def test_unknown_rules_are_refused(text):
    with pytest.raises(InputError, match=r"nsd:N|outside"):
        parse_threshold(text)


def test_healthy_level_and_deviation_are_found_without_a_remote_region():
    lge, wall, _ = wall_with_scar(share=0.3)
    found = levels(lge, wall, None, "nsd:5")
    assert found.healthy == pytest.approx(100, abs=3)
    assert found.deviation == pytest.approx(10, abs=1.5)
    assert found.threshold == pytest.approx(found.healthy + 5 * found.deviation)
    assert found.plateau == pytest.approx(400, abs=8)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6])
def test_the_healthy_level_does_not_depend_on_how_much_scar_there_is(share):
    lge, wall, _ = wall_with_scar(share)
    assert levels(lge, wall, None, "nsd:5").healthy == pytest.approx(100, abs=4)


def test_a_remote_region_sets_mean_and_deviation():
    lge, wall, scar = wall_with_scar()
    remote = np.zeros(SHAPE, np.float32)
    remote[:, :10, 20:] = 1
    values = lge.array[remote > 0]
    found = levels(lge, wall, remote, "nsd:3")
    assert found.threshold == pytest.approx(values.mean() + 3 * values.std())
    np.testing.assert_array_equal(scar_fraction(lge, wall, remote, "nsd:6", soft=False), scar)


def test_rules_of_the_maximum_and_otsu():
    lge, wall, scar = wall_with_scar()
    healthy, maximum = levels(lge, wall, None, "nsd:5").healthy, np.percentile(lge.array, 99)
    assert levels(lge, wall, None, "max:60").threshold == pytest.approx(healthy + 0.6 * (maximum - healthy))
    assert levels(lge, wall, None, "fwhm").threshold == pytest.approx(healthy + 0.5 * (maximum - healthy))
    assert levels(lge, wall, None, "otsu").threshold == pytest.approx(250, abs=60)
    for rule in ("max:60", "fwhm", "otsu"):
        np.testing.assert_array_equal(scar_fraction(lge, wall, None, rule, soft=False), scar)


@pytest.mark.parametrize("rule", ["nsd:5", "fwhm", "max:60", "otsu"])
def test_soft_shares_rise_from_healthy_over_the_threshold_to_the_plateau(rule):
    lge, wall, _ = wall_with_scar()
    found = levels(lge, wall, None, rule)
    ramp = np.linspace(60, 460, 40)
    lge.array[0, 0, :] = ramp
    again = levels(lge, wall, None, rule)
    share = scar_fraction(lge, wall, None, rule, soft=True)[0, 0]
    assert again.threshold == pytest.approx(found.threshold, rel=0.05)
    assert (np.diff(share) >= 0).all()
    assert share[0] == 0
    assert share[-1] == 1
    assert np.interp(again.threshold, ramp, share) == pytest.approx(0.5, abs=0.06)  # the ramp has steps
    np.testing.assert_array_equal(scar_fraction(lge, wall, None, rule, soft=False)[0, 0], ramp >= again.threshold)


def test_shares_rise_from_half_way_to_a_threshold_within_the_noise():
    """Two standard deviations, from which they rise else, lie above this threshold."""
    lge, wall, _ = wall_with_scar()
    remote = np.zeros(SHAPE, np.float32)
    remote[1:, :, 20:] = 1
    found = levels(lge, wall, remote, "nsd:1.5")
    lge.array[0, 0, :4] = found.healthy + np.array([0, 0.5, 0.75, 1]) * (found.threshold - found.healthy)
    share = scar_fraction(lge, wall, remote, "nsd:1.5", soft=True)[0, 0, :4]
    np.testing.assert_allclose(share, [0, 0, 0.25, 0.5], atol=1e-5)


@pytest.mark.parametrize("soft", [True, False])
def test_a_higher_threshold_gives_the_core_within_the_scar(soft):
    lge, wall, scar = wall_with_scar()
    dense = scar.copy()
    dense[:2] = 0
    lge.array[:2][scar[:2] > 0] -= 130  # 270 of 400
    both = scar_and_core(lge, wall, None, ("nsd:5", "max:80"), soft)
    for share, expected in zip(both, (scar, dense), strict=True):
        assert (share > 0.5).mean() == pytest.approx(expected.mean(), abs=0.002)
        np.testing.assert_array_equal((share > 0.5)[:, 4:-4], (expected > 0)[:, 4:-4])
    assert (both[1] <= both[0]).all()
    np.testing.assert_array_equal(both[0], scar_fraction(lge, wall, None, "nsd:5", soft))


def test_a_core_threshold_that_is_not_above_that_of_the_scar_is_refused_with_both_intensities():
    lge, wall, _ = wall_with_scar(noise=3)
    for rules in (("max:60", "nsd:5"), ("fwhm", "fwhm"), ("nsd:5", "nsd:2")):
        low, high = (levels(lge, wall, None, rule).threshold for rule in rules)
        words = f"LGE: the threshold of the core, {rules[1]}, is an intensity of {high:.4g} .* which is {low:.4g}"
        with pytest.raises(InputError, match=words):
            scar_and_core(lge, wall, None, rules, soft=True)


def test_without_scar_there_is_no_core_whatever_share_of_the_maximum_it_has():
    lge, wall, _ = wall_with_scar(share=0)
    scar, core = scar_and_core(lge, wall, None, ("nsd:5", "max:80"), soft=True)
    assert scar.mean() < 0.005
    assert not core.any()


def test_noise_of_healthy_wall_does_not_add_up_to_scar():
    lge, wall, scar = wall_with_scar(share=0.1)
    share = scar_fraction(lge, wall, None, "nsd:5", soft=True)
    assert share[scar == 0].mean() < 0.005
    assert share.mean() == pytest.approx(scar.mean(), abs=0.005)


def test_half_scar_is_seen_as_half():
    lge, wall, _ = wall_with_scar(noise=3)
    lge.array[1:3, 15:25, 20] = 250
    share = scar_fraction(lge, wall, None, "fwhm", soft=True)
    assert share[1:3, 15:25, 20].mean() == pytest.approx(0.5, abs=0.05)  # half-way from 100 to 405


def test_pixels_mixed_with_blood_take_the_share_of_their_neighbors():
    lge, wall, _ = wall_with_scar(share=0)
    wall[:, 0] = 0
    wall[:, 1] = 0.4
    lge.array[:, :2] = 380  # blood, as bright as scar
    lge.array[:, 2:, 30:] += 300
    share = scar_fraction(lge, wall, None, "nsd:5", soft=True)
    assert not share[:, 0].any()
    assert share[:, 1, :29].max() < 0.2
    assert share[:, 1, 31:].min() > 0.8


def test_without_scar_nearly_nothing_is_found():
    lge, wall, _ = wall_with_scar(share=0)
    assert scar_fraction(lge, wall, None, "nsd:5", soft=False).mean() < 0.001


def test_what_lies_outside_the_wall_does_not_matter():
    lge, wall, _ = wall_with_scar()
    wall[:, 30:] = 0
    before = scar_fraction(lge, wall, None, "nsd:5", soft=True)
    lge.array[:, 30:] = np.nan
    np.testing.assert_array_equal(scar_fraction(lge, wall, None, "nsd:5", soft=True), before)


def test_bad_images_are_refused_in_words():
    lge, wall, _ = wall_with_scar()
    broken = lge.array.copy()
    broken[0, 0, 0] = np.nan
    few = np.zeros(SHAPE, np.float32)
    few[0, 0, :5] = 1
    for volume, region, remote, words in (
        (image(broken), wall, None, "1 wall pixels are not numbers"),
        (image(np.full(SHAPE, 7.0)), wall, None, "the intensity 7"),
        (lge, 0 * wall, None, "no pixel holds myocardium"),
        (lge, few, None, "only 5 pixels"),
        (lge, wall[:, :-1], None, "differ in shape"),
        (lge, wall, 0 * wall, "remote region holds 0 pixels"),
        (lge, wall, wall[:-1], "differ in shape"),
    ):
        with pytest.raises(InputError, match=words):
            scar_fraction(volume, region, remote, "nsd:5", soft=True)


def test_whole_numbers_are_read_as_well():
    lge, wall, _ = wall_with_scar()
    whole = image(lge.array.round().astype(np.int16))
    shares = [scar_fraction(volume, wall, None, "fwhm", soft=True) for volume in (whole, lge)]
    np.testing.assert_allclose(shares[0], shares[1], atol=0.02)
