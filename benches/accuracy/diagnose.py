#!/usr/bin/env python3
"""How often `bellwether diagnose` names the service in which a fault was, on PetShop and on sock-shop.

    benches/accuracy/diagnose.py DATA [--bellwether target/release/bellwether] [--shift -60,0,60]

DATA holds rca/petshop and rca/sock-shop as published (amazon-science/petshop-root-cause-analysis, azamikram/rcd). Each case is
written as `timestamp,service,metric,value` and `source,target`, and diagnosed with the same options: the instant, and the symptom
where the set names one. The instant is then also given wrong by SHIFT seconds. Avg@5 is the mean of the shares of cases with the
true service among the first 1, 2, … 5. Needs nothing but Python.
"""

import argparse
import csv
import json
import pathlib
import subprocess
import tempfile

KINDS = {"cpu": "cpu", "mem": "memory", "lod": "load", "lat": "latency"}


def petshop(folder):
    """16 issues: metrics of five minutes, before from the same traffic without an issue; the service graph; the symptom."""
    for target in sorted(folder.glob("*/train/*/target.json")):
        traffic = target.parents[2]
        truth = json.loads(target.read_text())
        rows = []
        for part in (traffic / "noissue" / "metrics.csv", target.with_name("metrics.csv")):
            table = list(csv.reader(part.open()))
            services, metrics, statistics = (line[1:] for line in table[:3])
            for line in table[4:]:
                at = float(line[0])
                rows += [
                    (at, service, f"{metric}_{statistic}", value)
                    for service, metric, statistic, value in zip(services, metrics, statistics, line[1:])
                    if value
                ]
        graph = list(csv.reader((traffic / "graph.csv").open()))
        calls = [(line[0], callee) for line in graph[1:] for callee, cell in zip(graph[0][1:], line[1:]) if float(cell)]
        symptom, root = truth["target"]["node"], truth["root_cause"]["node"]
        yield f"{traffic.name}/{target.parent.name}", rows, calls, truth["target"]["timestamp"], symptom, root


def sock_shop(folder):
    """20 faults: metrics of a second, before and after the fault; no graph, no symptom."""
    for abnormal in sorted(folder.glob("*/*/anomalous.csv")):
        rows, first = [], None
        for part in (abnormal.with_name("normal.csv"), abnormal):
            table = csv.DictReader(part.open())
            for i, line in enumerate(table):
                at = float(line.pop("time"))
                if part == abnormal and i == 0:
                    first = at
                for name, value in line.items():
                    service, kind, *rest = name.split("_")
                    if value:
                        rows.append((at, service, "_".join([KINDS[kind], *rest]), value))
        yield f"{abnormal.parents[1].name}/{abnormal.parent.name}", rows, [], first, None, abnormal.parents[1].name.rsplit("-", 1)[0]


def write(path, head, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def rank(binary, folder, at, symptom, has_calls):
    command = [binary, "diagnose", "--metrics", folder / "metrics.csv", "--at", str(at), "--causes", "1000", "--output", "json"]
    command += ["--graph", folder / "calls.csv"] if has_calls else []
    command += ["--symptom", symptom] if symptom else []
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [cause["service"] for cause in json.loads(answer)["causes"]]


def judge(name, cases, binary, shifts):
    places = {shift: [] for shift in shifts}
    for case, rows, calls, at, symptom, root in cases:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            write(folder / "metrics.csv", ["timestamp", "service", "metric", "value"], rows)
            write(folder / "calls.csv", ["source", "target"], calls)
            for shift in shifts:
                found = rank(binary, folder, at + shift, symptom, bool(calls))
                places[shift].append(found.index(root) if root in found else len(found))
                if places[shift][-1] > 0:
                    print(f"  {name} {case} {shift:+} s: {root} is number {places[shift][-1] + 1}, after {', '.join(found[:3])}")
    for shift, of in places.items():
        within = [sum(place < n for place in of) / len(of) for n in range(1, 6)]
        print(f"{name}, {len(of)} cases, {shift:+} s: top-1 {within[0]:.2f}, top-3 {within[2]:.2f}, Avg@5 {sum(within) / 5:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--bellwether", default="target/release/bellwether")
    parser.add_argument("--shift", default="-60,0,60")
    args = parser.parse_args()
    shifts = [int(shift) for shift in args.shift.split(",")]
    judge("PetShop", petshop(args.data / "rca" / "petshop"), args.bellwether, shifts)
    judge("sock-shop", sock_shop(args.data / "rca" / "sock-shop"), args.bellwether, shifts)


if __name__ == "__main__":
    main()
