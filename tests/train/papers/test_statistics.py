"""Summaries compared with scipy's, and verdicts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lamina.train.papers.runner.statistics import Summary, summarize, verdict


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_the_interval_agrees_with_scipy(statistic: str) -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(1).normal(3.0, 2.0, 40)
    summary = summarize(values.tolist(), statistic)  # type: ignore[arg-type]
    theirs = stats.bootstrap(
        (values,),
        getattr(np, statistic),
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert summary.centre == pytest.approx(getattr(np, statistic)(values))
    assert summary.std == pytest.approx(np.std(values, ddof=1))
    assert (summary.low, summary.high) == pytest.approx((theirs.low, theirs.high), abs=0.06)
    assert summarize(values.tolist(), statistic) == summary  # type: ignore[arg-type]


def test_one_run_has_no_interval() -> None:
    summary = summarize([0.5])
    assert (summary.n, summary.centre) == (1, 0.5)
    assert all(map(math.isnan, (summary.std, summary.low, summary.high)))


def test_a_diverged_run_makes_the_mean_nan() -> None:
    assert math.isnan(summarize([0.5, math.nan]).centre)


def test_an_infinite_value_leaves_the_median_finite() -> None:
    summary = summarize([math.inf, *map(float, range(1, 30))], "median")
    assert (summary.n, summary.centre) == (30, 15.5)
    assert math.isnan(summary.std)
    assert 5 < summary.low < 15 < summary.high < 25
    assert math.isnan(summarize([math.inf] * 3, "median").low)


@pytest.mark.parametrize(
    ("centre", "spread", "std", "better", "expected"),
    [
        (0.96, 0.01, 0.01, "higher", "within"),
        (0.99, 0.01, 0.01, "higher", "better"),
        (0.90, 0.01, 0.01, "higher", "worse"),
        (0.90, 0.04, None, "higher", "within"),  # a single run of the paper is one draw of ours
        (0.90, math.nan, None, "higher", "worse"),
        (0.90, 0.01, 0.01, "lower", "better"),
        (0.99, 0.01, 0.01, "lower", "worse"),
        (0.90, 0.01, 0.01, "", "lower"),
        (math.nan, 0.01, 0.01, "higher", "worse"),
    ],
)
def test_verdicts(centre: float, spread: float, std: float | None, better: str, expected: str) -> None:
    assert verdict(0.96, std, Summary(5, centre, spread, centre, centre), better) == expected
