#!/usr/bin/env python3
"""How good forecasts are: M4 with the last horizon of each series kept out, and hourly series of a cloud, from their last end and
from twenty ends a day apart: many of these recordings end in an incident, which no forecast knows of.

    benches/accuracy/forecast.py DATA [--bellwether target/release/bellwether]

DATA holds forecast/m4-hourly-train.parquet and m4-weekly-train.parquet (unique_id, ds, y) and detect/mscloud/*/*.csv. Measures
are those of the M4 competition (Makridakis, Spiliotis & Assimakopoulos 2020): sMAPE, MASE, and OWA against Naive 2. Needs
numpy, pandas and pyarrow.
"""

import argparse
import pathlib
import subprocess
import tempfile

import numpy as np
import pandas as pd


def naive2(y, horizon, m):
    """The last value, with the classic multiplicative season where the competition's test finds one."""
    n = len(y)
    if m > 1 and n >= 3 * m:
        centred = y - y.mean()
        acf = [(centred[k:] * centred[: n - k]).sum() / (centred**2).sum() for k in range(1, m + 1)]
        limit = 1.645 * np.sqrt((1 + 2 * (np.square(acf[:-1])).sum()) / n)
        if abs(acf[-1]) > limit:
            weights = np.r_[0.5, np.ones(m - 1), 0.5] / m if m % 2 == 0 else np.ones(m) / m
            trend = np.convolve(y, weights, "valid")
            at = np.arange(len(trend)) + len(weights) // 2
            ratio = pd.Series(y[at] / trend).groupby(at % m).mean()
            ratio /= ratio.mean()
            return y[-1] / ratio[(n - 1) % m] * ratio[(n + np.arange(horizon)) % m].to_numpy()
    return np.repeat(y[-1], horizon)


def smape(actual, forecast):
    return np.nanmean(200 * np.abs(actual - forecast) / (np.abs(actual) + np.abs(forecast)))


def mase(actual, forecast, past, m):
    return np.nanmean(np.abs(actual - forecast)) / np.nanmean(np.abs(past[m:] - past[:-m]))


def forecast(binary, table, horizon, level, *more):
    with tempfile.TemporaryDirectory() as folder:
        given, out = f"{folder}/given.parquet", f"{folder}/out.csv"
        table[["unique_id", "ds", "y"]].to_parquet(given)
        command = [binary, "forecast", "--file", given, "--horizon", str(horizon), "--level", str(level), "--out", out, *more]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return pd.read_csv(out).groupby("unique_id")


def judge(name, binary, table, horizon, m, *more):
    back = table.groupby("unique_id").cumcount(ascending=False)
    past, actual = table[back >= horizon], table[back < horizon].groupby("unique_id")
    past_y = past.groupby("unique_id").y
    by_level = {level: forecast(binary, past, horizon, level, *more) for level in (80, 95)}
    rows, inside, calm = [], {level: [] for level in by_level}, []
    for key, kept in actual:
        truth, history = kept.y.to_numpy(float), past_y.get_group(key).to_numpy(float)
        if "label" in kept:
            calm.extend(kept.label.to_numpy()[~np.isnan(truth)] == 0)
        said = by_level[80].get_group(key)["yhat"].to_numpy()
        filled = pd.Series(history).ffill().bfill().to_numpy()
        simple = naive2(filled, horizon, m)
        rows.append([smape(truth, said), mase(truth, said, history, m), smape(truth, simple), mase(truth, simple, history, m)])
        for level, groups in by_level.items():
            group = groups.get_group(key)
            hit = (truth >= group.yhat_lower.to_numpy()) & (truth <= group.yhat_upper.to_numpy())
            inside[level].extend(hit[~np.isnan(truth)])
    rows, ids = np.array(rows), list(actual.groups)
    s, q, s2, q2 = rows[np.isfinite(rows).all(axis=1)].mean(axis=0)
    by_end = pd.Series(rows[:, 1]).groupby([key.partition("@")[2] for key in ids]).median()
    if len(by_end) > 1:
        name += f" (medians by end {by_end.min():.2f} to {by_end.max():.2f}, mean {by_end.mean():.3f})"
    held = ", ".join(f"{level} %: {100 * np.mean(hits):.1f}" for level, hits in inside.items())
    if calm:
        outside = ", ".join(f"{100 * np.mean(np.array(hits)[calm]):.1f}" for hits in inside.values())
        held += f" (outside of incidents {outside})"
    print(f"{name:28} {len(rows):4} series  sMAPE {s:6.2f}  MASE {q:.3f} (median {np.median(rows[:, 1]):.3f})  OWA {(s / s2 + q / q2) / 2:.3f}  held at {held}")


def ends(table, horizon, count=20, apart=24):
    """The same series with 0, 1, … days at their ends taken off, as long as two fifths and eight days are left to learn from."""
    back, length = table.groupby("unique_id").cumcount(ascending=False), table.groupby("unique_id").y.transform("size")
    cuts = []
    for cut in range(count):
        enough = length - apart * cut - horizon >= np.maximum(0.4 * length, 192)
        one = table[(back >= apart * cut) & enough]
        cuts.append(one.assign(unique_id=one.unique_id + f"@{cut}"))
    return pd.concat(cuts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--bellwether", default="target/release/bellwether")
    args = parser.parse_args()
    hourly = pd.read_parquet(args.data / "forecast/m4-hourly-train.parquet")
    weekly = pd.read_parquet(args.data / "forecast/m4-weekly-train.parquet")
    judge("M4 hourly, seasons found", args.bellwether, hourly, 48, 24)
    judge("M4 hourly, --season 24,168", args.bellwether, hourly, 48, 24, "--season", "24,168")
    judge("M4 weekly, seasons found", args.bellwether, weekly, 13, 1)
    judge("M4 weekly, --season 52", args.bellwether, weekly, 13, 1, "--season", "52")
    clouds = []
    for path in sorted((args.data / "detect/mscloud").glob("*/*.csv")):
        one = pd.read_csv(path, parse_dates=["TimeStamp"])
        if one.TimeStamp.diff().median() == pd.Timedelta(hours=1):
            # Some hours are there twice, and some are not.
            hours = one.groupby(one.TimeStamp.dt.tz_localize(None)).agg(y=("Value", "mean"), label=("Label", "max")).asfreq("h")
            clouds.append(hours.rename_axis("ds").reset_index().assign(unique_id=path.stem))
    for horizon in (24, 48):
        judge(f"cloud, hourly, {horizon} ahead", args.bellwether, pd.concat(clouds), horizon, 24)
        judge("the same, 20 ends", args.bellwether, ends(pd.concat(clouds), horizon), horizon, 24)


if __name__ == "__main__":
    main()
