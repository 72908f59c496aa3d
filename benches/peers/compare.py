"""Does the same work on the same input with Bellwether and with its peers, and prints the ratios.

A ratio is the peer's time divided by ours, each the least of several repeats: 10 means that we are ten times as fast.
The medians stand beside it. After the times comes what is wanted of them, which a noisy machine may miss, and how well the
results agree; a disagreement makes the exit code 1. Forecasts are in forecast.py, drift in drift.py.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from sklearn.ensemble import IsolationForest
from statsmodels.tsa.seasonal import MSTL, STL

import drift
import forecast
from report import Report, timed

TREES, SAMPLE = 100, 256
SHAPES = [(10_000, 8), (20_000, 4), (1_000, 30)]
EXACT = 1e-9


def residuals(rows, columns):
    """Normal noise, every hundredth row three times as wide, one row far away."""
    table = np.random.default_rng(rows).normal(size=(rows, columns))
    table[::100] *= 3
    table[rows // 2] = 20
    return table


def series(places, periods):
    """A slow trend, one wave per period, noise, and a few outliers."""
    rng = np.random.default_rng(places)
    t = np.arange(places)
    values = 10 + 3 * t / places + rng.normal(scale=0.3, size=places)
    for period in periods:
        values += np.sin(2 * np.pi * t / period) + 0.5 * np.cos(6 * np.pi * t / period)
    values[rng.integers(0, places, places // 500)] += 8
    return values


def window(period, seasonal):
    """The trend's window that STL takes when none is given."""
    return int(np.ceil(1.5 * period / (1 - 1.5 / seasonal))) | 1


def forest(report, ours, scores, name, rows, repeats):
    from isotree import IsolationForest as IsoTree  # It is compiled where it is installed, and needed only here.

    def sklearn(jobs, seed):
        return IsolationForest(n_estimators=TREES, max_samples=SAMPLE, random_state=seed, n_jobs=jobs)

    def isotree(threads, seed):
        # One feature per split, drawn evenly, at an even threshold: the forest of the paper.
        return IsoTree(ntrees=TREES, sample_size=SAMPLE, ndim=1, missing_action="fail", nthreads=threads, random_seed=seed)

    peers = {
        "scikit-learn, 1 thread": (sklearn, 1),
        "scikit-learn, all threads": (sklearn, -1),
        "isotree, 1 thread": (isotree, 1),
        "isotree, all threads": (isotree, -1),
    }
    ours["fit + score"] = [fit + score for fit, score in zip(ours["fit"], ours["score"])]
    theirs = {}
    for peer, (make, threads) in peers.items():
        times = {}
        for seed in range(repeats):
            model = make(threads, 10_000 * (seed + 1))  # isotree gives tree i the seed + i: near seeds share trees.
            timed(times, "fit", lambda: model.fit(rows))
            score = model.predict if make is isotree else lambda table: -model.score_samples(table)
            theirs[peer, seed] = timed(times, "score", lambda: score(rows))
            timed(times, "one row", lambda: score(rows[:1]))
        times["fit + score"] = [fit + score for fit, score in zip(times["fit"], times["score"])]
        for stage in ("fit", "score", "fit + score", "one row"):
            if stage != "one row" or threads == 1:
                report.time(f"{name}: {stage}", peer, ours[stage], times[stage])
    # Two forests of one library differ by chance; ours must be as near to the mean of theirs as they are to one another.
    sklearn_peer, isotree_peer = ("scikit-learn, 1 thread", "isotree, 1 thread")
    mean = {peer: np.mean([theirs[peer, seed] for seed in range(repeats)], axis=0) for peer in (sklearn_peer, isotree_peer)}
    chance = spearmanr(theirs[sklearn_peer, 0], theirs[sklearn_peer, 1]).statistic
    for peer in mean:
        rank = spearmanr(scores, mean[peer]).statistic
        report.agree(name, f"rank correlation with {peer.split(',')[0]}", rank, f">= {chance:.4f}", rank >= chance)
    apart = np.abs(scores - mean[sklearn_peer]).mean()
    report.agree(name, "mean difference from scikit-learn's score", apart, "<= 0.02", apart <= 0.02)
    first = np.argmax(scores) == len(rows) // 2
    report.agree(name, "the row far away scores highest", float(first), "= 1", first)


def stl_cases(quick):
    """Name, places, periods, job for us, and the peer's call (`None`: as in the case before, not run again)."""
    period, seasonal = 288, 7
    jumps = {
        "seasonal_jump": -(-seasonal // 10), "trend_jump": -(-window(period, seasonal) // 10), "low_pass_jump": -(-(period + 1) // 10),
    }
    robust = {"work": "stl", "period": period, "seasonal": seasonal, "robust": True}
    full = lambda x: STL(x, period=period, robust=True).fit()
    jumping = lambda x: STL(x, period=period, robust=True, **jumps).fit()
    yield "STL robust, jumps on both sides", 4_032, (period,), {**robust, "mode": "jumps"}, jumping
    yield "STL robust", 4_032, (period,), {**robust, "mode": "full"}, full
    yield "STL robust, our side alone fast", 4_032, (period,), {**robust, "mode": "fast"}, None
    # One place more than two cycles of the longer period: statsmodels leaves out a period that is not under half the series.
    for places, periods in [(4_033, (288, 2_016)), (20_161, (1_440, 10_080))][: 1 if quick else 2]:
        work = {"work": "mstl", "periods": periods, "robust": False}
        yield f"MSTL {periods}", places, periods, {**work, "mode": "full"}, lambda x, p=periods: MSTL(x, periods=p).fit()
        yield f"MSTL {periods}, our side alone fast", places, periods, {**work, "mode": "fast"}, None


def decomposition(report, name, values, ours, parts, theirs, exact):
    times, result = theirs
    report.time(name, "statsmodels", ours["fit"], times["fit"])
    seasons = np.asarray(result.seasonal).reshape(len(values), -1).T
    reference = np.concatenate([np.asarray(result.trend), *seasons, np.asarray(result.resid)])
    assert reference.shape == parts.shape, f"{name}: {parts.shape} values for the peer's {reference.shape}"
    apart = np.abs(parts - reference).max() / np.abs(values).max()
    # Fast fits interpolate and stop early: that may cost a few hundredths of the data's size.
    bound = EXACT if exact else 0.05
    report.agree(name, "greatest difference of a part, by the greatest value", apart, f"<= {bound:g}", apart <= bound)


def detector(report, ours, _, name, values, judged, periods, repeats):
    """The pipeline a notebook would have: seasons by MSTL, an isolation forest on the remainder and its recent course."""

    def features(remainder):
        lagged = np.lib.stride_tricks.sliding_window_view(np.concatenate([np.zeros(14), remainder]), 15)
        return np.column_stack([remainder, np.abs(np.diff(remainder, prepend=0)), lagged.mean(axis=1), lagged.std(axis=1)])

    times = {}
    learned, rest = values[:-judged], values[-judged:]

    def fit():
        parts = MSTL(learned, periods=periods).fit()
        rows = features(np.asarray(parts.resid))
        return parts, IsolationForest(n_estimators=TREES, max_samples=SAMPLE, random_state=0, n_jobs=1).fit(rows)

    def judge(parts, forest):
        # The seasons go on as they were, the trend stays where it ended.
        seasonal = np.asarray(parts.seasonal).reshape(len(learned), -1)
        expected = sum(seasonal[len(learned) - p + np.arange(judged) % p, i] for i, p in enumerate(periods))
        return -forest.score_samples(features(rest - expected - np.asarray(parts.trend)[-1]))

    for _ in range(repeats):
        parts, forest = timed(times, "fit", fit)
        timed(times, "judge", lambda: judge(parts, forest))
    both = lambda t: [fit + judge for fit, judge in zip(t["fit"], t["judge"])]
    report.time(f"{name}: fit", "MSTL + scikit-learn", ours["fit"], times["fit"])
    report.time(f"{name}: fit + judge {judged}", "MSTL + scikit-learn", both(ours), both(times))
    update = min(ours["judge"]) / judged * 1e6
    print(f"{name}: {update:.2f} µs to judge a point, {ours['bytes'][0] / 1e3:.1f} kB of state\n")


def forest_cases(arguments):
    for rows, columns in SHAPES:
        name, table = f"forest {rows} x {columns}", residuals(rows, columns)
        job = {"work": "forest", "columns": columns, "trees": TREES, "sample_size": SAMPLE, "seed": 1, "repeats": arguments.repeats}
        yield name, job, table, partial(forest, name=name, rows=table, repeats=arguments.repeats)


def decomposition_cases(arguments):
    few = max(1, arguments.repeats // 3)
    last = []

    def judge(report, ours, parts, name, values, call):
        if call:
            times = {}
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # It warns when it leaves a period out.
                for _ in range(few):
                    result = timed(times, "fit", lambda: call(values))
            last[:] = times, result
        decomposition(report, name, values, ours, parts, last, exact=call is not None)

    for name, places, periods, job, call in stl_cases(arguments.quick):
        values = series(places, periods)
        yield name, {**job, "repeats": few}, values, partial(judge, name=name, values=values, call=call)


def detector_cases(arguments):
    whole = [("5 minutes", 4_033, 288, (288, 2_016), 300), ("minutes", 20_161, 1_440, (1_440, 10_080), 60)]
    for step, places, judged, periods, seconds in whole[: 1 if arguments.quick else 2]:
        name, values = f"detector, 14 days of {step}", series(places + judged, periods)
        job = {"work": "detector", "step_seconds": seconds, "judged": judged, "repeats": arguments.repeats}
        repeats = max(1, arguments.repeats // 3)
        yield name, job, values, partial(detector, name=name, values=values, judged=judged, periods=periods, repeats=repeats)


SUBJECTS = {
    "forest": forest_cases, "detector": detector_cases, "stl": decomposition_cases, "forecast": forecast.cases, "drift": drift.cases,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="our program, as built from ours.rs (benches/peers/run gives it)")
    parser.add_argument("--only", choices=SUBJECTS, help="one part of the comparison")
    parser.add_argument("--quick", action="store_true", help="fewer series and columns, and none that takes a peer minutes")
    parser.add_argument("--repeats", type=int, default=7, help="repeats (default 7); slow peers run a third as often")
    parser.add_argument("--data", type=Path, metavar="DIR", help="forecast DIR/forecast/m4-hourly-train.parquet (unique_id, ds, y) too")
    arguments = parser.parse_args()
    if arguments.repeats < 2:
        parser.error("--repeats must be at least 2")

    # Each case: its name, the job for us, its input, and what compares our times and results with those of the peers.
    cases = [case for subject, of in SUBJECTS.items() if arguments.only in (None, subject) for case in of(arguments)]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        jobs = [{**job, "name": f"job{i}", "input": f"job{i}.in"} for i, (_, job, _, _) in enumerate(cases)]
        for job, (_, _, values, _) in zip(jobs, cases):
            values.astype("<f8").tofile(folder / job["input"])
        (folder / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
        done = json.loads(subprocess.run([arguments.ours, folder], check=True, stdout=subprocess.PIPE).stdout)
        results = [(done[job["name"]], np.fromfile(folder / f"{job['name']}.ours", "<f8")) for job in jobs]

    report = Report()
    for (name, _, _, judge), (ours, output) in zip(cases, results):
        print(f"… {name}", file=sys.stderr)
        judge(report, ours, output)
    return 0 if report.print() else 1


if __name__ == "__main__":
    sys.exit(main())
