"""Files of a comparison of both methods: evaluation.csv, users.csv, quantiles.csv, thresholds.csv and roc.png."""

from __future__ import annotations

import math
from pathlib import Path

from deeprecon.data.tables import write_table
from deeprecon.seizure.measure.comparison import Comparison
from deeprecon.seizure.measure.operating_points import sensitivity_at
from deeprecon.seizure.measure.scoring import total_score

_BASELINE_COLUMNS = ("detected", "sensitivity", "false_alarms", "false_alarms_per_day")


def write_comparison(folder: Path, comparison: Comparison, quantile: float) -> dict[str, Path]:
    """Write all files; returns their paths by role.

    Args:
        folder: exists.
        comparison: to be written.
        quantile: of its operating points, for the legend.
    """
    names = {name: f"{name}.csv" for name in ("evaluation", "users", "quantiles", "thresholds")} | {"roc": "roc.png"}
    paths = {role: folder / name for role, name in names.items()}
    methods = {"DeepEpi": comparison.ensemble, "OpenSeizureDetector": comparison.baseline}
    write_table(
        paths["evaluation"],
        [{"method": method, **total_score(scores.values()).figures()} for method, scores in methods.items()],
    )
    users = []
    for user, score in comparison.ensemble.items():
        baseline = comparison.baseline[user].figures()
        users.append(
            {"user": user, **score.figures(), **{f"osd_{k}": v for k, v in baseline.items() if k in _BASELINE_COLUMNS}}
        )
    write_table(paths["users"], users)
    write_table(paths["quantiles"], [{"quantile": q, **score.figures()} for q, score in comparison.quantiles.items()])
    rows = []
    for (value, score), (low, high) in zip(comparison.points, comparison.intervals, strict=True):
        over_users = {"sensitivity_users_low": low, "sensitivity_users_high": high} if score.seizures else {}
        rows.append({"threshold": value, **score.figures(), **over_users})
    write_table(paths["thresholds"], rows)
    paths["roc"].write_bytes(_operating_curve(comparison, quantile))
    return paths


def _operating_curve(comparison: Comparison, quantile: float) -> bytes:
    """PNG of sensitivity over false alarms per day, with the baseline as a point."""
    from deeprecon.reporting.figures import png, pyplot

    plt = pyplot()
    baseline = total_score(comparison.baseline.values())
    figure, axis = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    rates = sorted({score.false_alarms_per_day for _, score in comparison.points})
    best = [sensitivity_at(comparison.points, rate) for rate in rates]
    axis.step(rates, best, where="post", label=f"DeepEpi, quantile {quantile:g}, best threshold for each rate")
    low, high = ([_interval_at(comparison, rate)[side] for rate in rates] for side in (0, 1))
    axis.fill_between(rates, low, high, step="post", alpha=0.2, lw=0, label="95 % interval over users")
    axis.plot([baseline.false_alarms_per_day], [baseline.sensitivity], "s", label="OpenSeizureDetector")
    axis.set(xlabel="false alarms per day", ylabel="sensitivity", ylim=(-0.02, 1.03))
    axis.set_xscale("symlog", linthresh=1)
    axis.set_xlim(left=0)
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, loc="lower right")
    return png(figure)


def _interval_at(comparison: Comparison, rate: float) -> tuple[float, float]:
    """The interval of the sensitivity at the point that is best with at most `rate` false alarms per day."""
    points = zip(comparison.points, comparison.intervals, strict=True)
    allowed = [(score.sensitivity, interval) for (_, score), interval in points if score.false_alarms_per_day <= rate]
    return max(allowed)[1] if allowed else (math.nan, math.nan)
