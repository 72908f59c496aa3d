"""What every comparison needs: times, and the tables of ratios, of agreement, and of what is wanted."""

import time
from statistics import median


def timed(times, stage, work):
    start = time.perf_counter()
    result = work()
    times.setdefault(stage, []).append(time.perf_counter() - start)
    return result


class Report:
    """The lines of the tables."""

    def __init__(self):
        self.times, self.agreement, self.wanted = [], [], []

    def time(self, what, peer, ours, theirs):
        """Adds a line and returns the ratio."""
        best, middle = (f(theirs) / f(ours) for f in (min, median))
        self.times.append((what, f"{min(ours) * 1e3:.3f}", peer, f"{min(theirs) * 1e3:.3f}", f"{best:.1f}", f"{middle:.1f}"))
        return best

    def agree(self, what, measure, value, bound, right):
        self.agreement.append((what, measure, f"{value:.2g}" if value < 0.1 else f"{value:.4f}", bound, "yes" if right else "NO"))

    def want(self, what, measure, value, least=None, most=None):
        """A figure that is to be at least, or at most, so large. A noisy machine can miss it: it is shown, and fails nothing."""
        met = value >= least if most is None else value <= most
        bound = f">= {least:g}" if most is None else f"<= {most:g}"
        self.wanted.append((what, measure, f"{value:,.0f}" if value >= 100 else f"{value:.2f}", bound, "yes" if met else "NO"))

    def print(self):
        """Prints all; whether all results agree."""
        table(("work", "ours ms", "peer", "peer ms", "ratio", "of medians"), self.times)
        table(("work", "wanted", "value", "bound", "met"), self.wanted)
        table(("work", "agreement", "value", "bound", "agrees"), self.agreement)
        return all(line[-1] == "yes" for line in self.agreement)


def table(head, lines):
    if not lines:
        return
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    numbers = {"ours ms", "peer ms", "ratio", "of medians", "value"}
    for line in [head, tuple("-" * width for width in widths), *lines]:
        cells = (cell.rjust(width) if name in numbers else cell.ljust(width) for cell, width, name in zip(line, widths, head))
        print("  ".join(cells).rstrip())
    print()
