"""Tests for drift beside scipy and numpy, and beside Evidently: Kolmogorov–Smirnov, PSI and Wasserstein of many columns."""

from functools import partial

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

from report import timed

COLUMNS, ROWS = 1_000, 10_000
# So many columns are given to the slow peers, whose times are scaled to all.
SCIPY, EVIDENTLY = 100, 20
# Of statistics, and of the p-value, which comes from a series.
EXACT, P_VALUE = 1e-9, 1e-6


def columns(number):
    """Reference and current values of each column: normal or skewed, and shifted by up to 0.06 standard deviations."""
    rng = np.random.default_rng(1)
    table = rng.normal(size=(number, 2, ROWS))
    table[:, 1] += 0.01 * (np.arange(number) % 7)[:, None]
    table[::4] = np.exp(table[::4] / 2)
    return table


def cases(arguments):
    """Name, job for us, its input, and what is to be done with the results; see compare.py."""
    table = columns(COLUMNS // 10 if arguments.quick else COLUMNS)
    few = max(2, arguments.repeats // 3)
    job = {"work": "drift", "rows": ROWS, "repeats": arguments.repeats}
    yield f"drift, {len(table)} columns", job, table, partial(drift, table=table, repeats=few)


def drift(report, ours, found, table, repeats):
    found = found.reshape(-1, 4)
    name = f"KS + PSI + Wasserstein, {len(table):,} columns of {ROWS:,} + {ROWS:,}"
    peers = [
        ("scipy + numpy", SCIPY, by_scipy, ("KS distance", "p-value", "PSI", "Wasserstein"), (0, 1, 2, 3), 5),
        ("Evidently", EVIDENTLY, by_evidently, ("p-value", "PSI", "Wasserstein"), (1, 2, 3), 50),
    ]
    for peer, part, call, measures, places, wanted in peers:
        part = min(part, len(table))
        times, theirs = call(table[:part], repeats)
        times = [seconds * len(table) / part for seconds in times]
        scaled = f"{peer}, {part} columns, scaled" if part < len(table) else peer
        report.want(name, f"times as fast as {peer}", report.time(name, scaled, ours["tests"], times), least=wanted)
        if peer == "Evidently":
            report.time(f"{name}: three reports", scaled, ours["reports"], times)
        for measure, place, values in zip(measures, places, np.transpose(theirs)):
            bound = P_VALUE if measure == "p-value" else EXACT
            apart = np.abs(found[:part, place] - values).max()
            report.agree(name, f"greatest difference from {peer}: {measure}", apart, f"<= {bound:g}", apart <= bound)
    report.time(name, "our side, std sort alone", ours["tests"], ours["sort"])
    report.want(name, "time by that of std sort", min(ours["tests"]) / min(ours["sort"]), most=2)


def by_scipy(table, repeats):
    def shares(counts):
        # An empty bin has the share that Evidently gives it: a ten-thousandth, or a millionth of the least where that is as small.
        of_all = counts / ROWS
        least = of_all[of_all > 0].min()
        return np.where(counts == 0, 1e-4 if least > 1e-4 else least / 1e6, of_all)

    def tests(a, b):
        ks = stats.ks_2samp(a, b)
        edges = np.histogram_bin_edges(np.concatenate([a, b]), bins="sturges")
        p, q = (shares(np.histogram(values, edges)[0]) for values in (a, b))
        psi = ((p - q) * np.log(p / q)).sum()
        return ks.statistic, ks.pvalue, psi, stats.wasserstein_distance(a, b) / a.std()

    times = {}
    with threadpool_limits(1):
        for _ in range(repeats):
            found = timed(times, "tests", lambda: [tests(a, b) for a, b in table])
    return times["tests"], found


def by_evidently(table, repeats):
    import pandas as pd
    from evidently import Report
    from evidently.core.datasets import Dataset
    from evidently.metrics import ValueDrift

    names = [str(i) for i in range(len(table))]
    reference, current = (Dataset.from_pandas(pd.DataFrame(table[:, side].T, columns=names)) for side in (0, 1))
    metrics = [ValueDrift(column=name, method=method) for name in names for method in ("ks", "psi", "wasserstein")]
    times = {}
    with threadpool_limits(1):
        for _ in range(repeats):
            found = timed(times, "tests", lambda: Report(metrics).run(current, reference).dict())
    return times["tests"], np.array([metric["value"] for metric in found["metrics"]], dtype=float).reshape(-1, 3)
