"""The counts of seizures and alarms compared with timescoring, the reference of SzCORE (Dan et al. 2024)."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.seizure.measure.alarms import find_alarms
from deeprecon.seizure.measure.scoring import MARGIN_AFTER, MARGIN_BEFORE, MAX_FALSE_ALARM, Track, score_recording

TIMES = np.arange(30.0, 86_400.0, 5.0)
STRIDE, MERGE = 5.0, 150.0


def random_day(seed: int) -> Track:
    """A day with seizures, detections with tails, missed seizures, and separate and chained false alarms."""
    rng = np.random.default_rng(seed)
    values = np.full(len(TIMES), 0.1)
    seizures = []

    def alarm(start: float, seconds: float) -> None:
        values[(start <= TIMES) & (start + seconds > TIMES)] = 0.9

    for start in np.arange(3000.3, 80_000, 9000):  # off the grid of the windows
        seizures.append((start, start + rng.uniform(30, 120)))
        if rng.random() < 0.7:
            alarm(start + rng.uniform(-100, 20), rng.uniform(5, 140))
        for offset in rng.choice(np.arange(1000, 7000, 500), 3, replace=False):
            alarm(start + offset, rng.uniform(5, 60))
            if rng.random() < 0.5:  # one more, close enough to be merged
                alarm(start + offset + 90, rng.uniform(5, 50))
    return Track("a", TIMES, values, tuple(seizures), False, STRIDE, 86_400.0)


@pytest.mark.parametrize("seed", range(5))
def test_counts_equal_those_of_timescoring_at_the_same_rules(seed):
    scoring = pytest.importorskip("timescoring.scoring")
    annotations = pytest.importorskip("timescoring.annotations")
    day = random_day(seed)
    found = score_recording(day, 0.5, MERGE)
    alarms = [(one.begin, one.end + STRIDE) for one in find_alarms(TIMES, day.values, 0.5)]
    rules = scoring.EventScoring.Parameters(MARGIN_BEFORE, MARGIN_AFTER, 0, MAX_FALSE_ALARM, MERGE)
    reference, hypothesis = (annotations.Annotation(list(one), 10, 864_000) for one in (day.seizures, alarms))
    expected = scoring.EventScoring(reference, hypothesis, rules)
    assert (found.seizures, found.detected) == (expected.refTrue, expected.tp)
    assert found.false_alarms == expected.fp > 0
    assert found.false_alarms_per_day == pytest.approx(expected.fpRate)
    assert found.f1 == pytest.approx(expected.f1)
