"""Forecasts of hourly series beside statsforecast: MSTL with exponential smoothing, and the dynamic optimised Theta model.

The last two days of each series are kept out, so that a model that is fast because it is careless would be seen.
"""

from functools import partial

import numpy as np
from statsmodels.tsa.seasonal import MSTL
from threadpoolctl import threadpool_limits

from report import timed

DAY, WEEK, HORIZON, PLACES = 24, 168, 48, 960
# A wander of the level, and noise, in the units of the seasons.
WANDER, NOISE = 0.05, 0.3


def generated(seed, day=3, week=1):
    """A level that wanders about a line, a day and a week of random shape and such sizes, and noise; all of it far above zero."""
    rng = np.random.default_rng(seed)
    t = np.arange(PLACES + HORIZON)
    values = 20 + rng.normal(scale=0.002) * t + rng.normal(scale=WANDER, size=len(t)).cumsum() + rng.normal(scale=NOISE, size=len(t))
    for period, size in ((DAY, day), (WEEK, week)):
        for wave in (1, 2, 3):
            values += size / wave * np.sin(2 * np.pi * (wave * t / period + rng.random()))
    return values


def read(folder):
    """The hourly series of the M4 competition, the shorter of which have 700 values."""
    import pandas as pd

    table = pd.read_parquet(folder / "forecast" / "m4-hourly-train.parquet")
    return [series.to_numpy(float) for _, series in table.groupby("unique_id", sort=False).y]


def cases(arguments):
    """Name, job for us, its input, and what is to be done with the results; see compare.py."""
    repeats, few = arguments.repeats, max(2, arguments.repeats // 3)
    count = 12 if arguments.quick else 40
    several = [generated(seed) for seed in range(count)]
    sets = [(f"{count} generated series", several)]
    if arguments.data:
        m4 = read(arguments.data)[:: 10 if arguments.quick else 1]
        sets.append((f"{len(m4)} series of M4", m4))
    for name, series in sets:
        both = Both(name, series, few)
        job = {**both.job, "periods": [DAY, WEEK], "repeats": repeats}
        yield f"{name}: MSTL + ETS", {**job, "model": "ets"}, both.joined, both.ets
        yield f"{name}: deseasonalised Theta", {**job, "model": "theta", "periods": [DAY]}, both.joined, both.deseasonalised_theta
        yield f"{name}: whole forecast", {**job, "model": None, "repeats": few}, both.joined, both.whole
    both = Both(f"{count} generated series without seasons", [generated(seed, 0, 0) for seed in range(count)], few)
    yield f"{both.name}: Theta", {**both.job, "model": "theta", "periods": [], "repeats": repeats}, both.joined, both.theta
    one = several[0][:PLACES]
    for mode in ("full", "fast"):
        job = {"work": "mstl", "periods": [DAY, WEEK], "robust": False, "mode": mode, "repeats": 20 * repeats}
        yield f"MSTL of {PLACES} values, {mode}", job, one, partial(decomposition, values=one, mode=mode, repeats=few)


class Both:
    """One set of series, forecast by both sides."""

    def __init__(self, name, series, repeats):
        self.name, self.repeats = name, repeats
        known = self.known = [one[:-HORIZON] for one in series]
        self.actual = np.array([one[-HORIZON:] for one in series])
        self.joined = np.concatenate(known)
        self.job = {"work": "forecast", "lengths": [len(one) for one in known], "horizon": HORIZON}
        # In units of what the value of a day before is off, as the mean absolute scaled error of the M4 competition.
        self.scale = np.array([np.abs(one[DAY:] - one[:-DAY]).mean() for one in known])
        self.smoothed = self.usual = None

    def ets(self, report, ours, said):
        self.smoothed = self.theirs(seasonal_trend(1), self.repeats)
        name = self.time(report, "MSTL + ETS", "statsforecast MSTL + AutoETS", ours, self.smoothed, 20)
        self.agree(report, name, said, self.smoothed, 0.1)
        self.usual = self.off(self.theirs(seasonal_trend(0), 1)[1], self.actual).mean()
        self.want(report, name, said)

    def theta(self, report, ours, said):
        theirs = self.theirs(dynamic_theta(1), self.repeats)
        name = self.time(report, "Theta", "statsforecast DynamicOptimizedTheta", ours, theirs, 5)
        self.agree(report, name, said, theirs, 0.1)

    def deseasonalised_theta(self, report, ours, said):
        theirs = self.theirs(dynamic_theta(DAY), self.repeats)
        name = self.time(report, "deseasonalised Theta", "statsforecast DynamicOptimizedTheta", ours, theirs, 5)
        # The day is taken out by MSTL here and by a classical decomposition there: that is the larger part of the difference.
        self.agree(report, name, said, theirs, 1)

    def whole(self, report, ours, said):
        name = self.time(report, "eleven models, earlier ends, intervals", "statsforecast MSTL + AutoETS", ours, self.smoothed, None)
        self.want(report, name, said)

    def theirs(self, peer, repeats):
        """Times of all series, and what is said of each."""
        times = {}
        with threadpool_limits(1):
            peer(self.known[0])  # What is loaded or compiled at the first call is not counted.
            for _ in range(repeats):
                said = timed(times, "forecast", lambda: [peer(one) for one in self.known])
        return times["forecast"], np.array(said)

    def off(self, said, actual):
        """How far off each series is on average."""
        return np.abs(said.reshape(-1, HORIZON) - actual).mean(axis=1) / self.scale

    def time(self, report, what, peer, ours, theirs, wanted):
        name = f"{self.name}: {what}"
        a_series = lambda times: [seconds / len(self.known) for seconds in times]
        ratio = report.time(f"{name}, each", f"{peer}, 1 thread", a_series(ours["forecast"]), a_series(theirs[0]))
        if wanted:
            report.want(name, "times as fast", ratio, least=wanted)
        return name

    def agree(self, report, name, said, theirs, bound):
        our_error, their_error = self.off(said, self.actual), self.off(theirs[1], self.actual)
        better = our_error.mean() / their_error.mean()
        report.agree(name, "our mean scaled error by theirs", better, "<= 1.05", better <= 1.05)
        near = np.median(self.off(said, theirs[1])) / np.median(their_error)
        report.agree(name, "difference by their error, medians", near, f"<= {bound:g}", near <= bound)

    def want(self, report, name, said):
        error = self.off(said, self.actual).mean() / self.usual
        report.want(name, "mean scaled error by that of MSTL + AutoETS as it is by default", error, most=1)


def seasonal_trend(degree):
    """By default a season is smoothed by constants, degree 0; ours are by straight lines, degree 1."""
    from statsforecast.models import MSTL as SeasonalTrend, AutoETS

    model = lambda: SeasonalTrend([DAY, WEEK], trend_forecaster=AutoETS(model="ZZN"), stl_kwargs={"seasonal_deg": degree})
    return lambda y: model().forecast(y=y, h=HORIZON)["mean"]


def dynamic_theta(season):
    from statsforecast.models import DynamicOptimizedTheta

    return lambda y: DynamicOptimizedTheta(season_length=season).forecast(y=y, h=HORIZON)["mean"]


def decomposition(report, ours, parts, values, mode, repeats):
    name = f"MSTL of {PLACES} values, seasons of {DAY} and {WEEK}"
    name += "" if mode == "full" else ", as a forecast uses it"
    times = {}
    with threadpool_limits(1):
        for _ in range(repeats):
            result = timed(times, "fit", lambda: MSTL(values, periods=(DAY, WEEK)).fit())
    report.time(name, "statsmodels", ours["fit"], times["fit"])
    report.want(name, "fits a second on one core", 1 / min(ours["fit"]), least=100)
    reference = np.concatenate([np.asarray(result.trend), *np.asarray(result.seasonal).T, np.asarray(result.resid)])
    apart = np.abs(parts - reference).max() / np.abs(values).max()
    bound = 1e-9 if mode == "full" else 0.05
    report.agree(name, "greatest difference of a part, by the greatest value", apart, f"<= {bound:g}", apart <= bound)
