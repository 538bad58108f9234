"""What docs/benchmarks.md says of recommendation, from the JSON of `benchmarks.recommend`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from benchmarks.common import table

PLAIN = ("popularity", "knn", "mf")
ARMS = ("target_only", "joint", "joint+dann", "cmf", "emcdr", "ptupcdr")
COLUMNS = (*PLAIN, "source_only", *ARMS)
METRICS = ("ndcg_at_10", "recall_at_10", "mrr", "coverage")
APART = "films to music"

Scores = dict[str, Mapping[str, float]]


def section(found: Mapping[str, Any]) -> str:
    """Tables, and where popularity wins."""
    draws = {
        (pair, hidden): [scores(cell) for cell in cells if cell["hidden"] == hidden]
        for pair, cells in found["pairs"].items()
        for hidden in sorted({cell["hidden"] for cell in cells})
    }
    rows = [[pair, f"{hidden:.0%}", *_line(drawn)] for (pair, hidden), drawn in draws.items()]
    genres = [each for (pair, _), drawn in draws.items() if pair != APART for each in drawn]
    whole = [[name, *(f"{over(genres, name, metric)[0]:.3f}" for metric in METRICS)] for name in genres[0]]
    told = (
        f"{' '.join(str(found['protocol']).split())} Mean NDCG@10 over the seeds (deviation), the best in bold. "
        f"{_wins(draws)} `source_only` never saw an item of the target."
    )
    return "\n\n".join(
        [
            f"## Recommendation\n\n{told}",
            table(["pair", "hidden", *COLUMNS], rows).strip(),
            f"Mean over the pairs of genres, all shares and seeds:\n\n{table(['', *METRICS], whole)}",
        ]
    )


def scores(cell: Mapping[str, Any]) -> Scores:
    """Metrics of one draw by recommender, in the order of the columns."""
    first = next(iter(cell["arms"].values()))
    known = {**first["baselines"], "source_only": first["source_only"]}
    known |= {name: arm["adapted"] for name, arm in cell["arms"].items()}
    return {name: known[name] for name in COLUMNS if name in known}


def over(draws: Sequence[Scores], name: str, metric: str = METRICS[0]) -> tuple[float, float]:
    """Mean and standard deviation."""
    values = [drawn[name][metric] for drawn in draws]
    return mean(values), stdev(values)


def _line(draws: Sequence[Scores]) -> list[str]:
    found = {name: over(draws, name) for name in draws[0]}
    best = max(round(value, 3) for value, _ in found.values())
    cells = []
    for name in COLUMNS:
        value, spread = found.get(name, (None, 0.0))
        mark = "**" if value is not None and round(value, 3) == best else ""
        cells.append("" if value is None else f"{mark}{value:.3f}{mark} ({spread:.3f})")
    return cells


def _wins(draws: Mapping[tuple[str, float], Sequence[Scores]]) -> str:
    """Where popularity is at least as good as a model."""
    said = []
    for (pair, hidden), drawn in draws.items():
        bar = round(over(drawn, "popularity")[0], 3)
        lost = [name for name in (*PLAIN[1:], *ARMS) if name in drawn[0] and round(over(drawn, name)[0], 3) <= bar]
        said += [f"{pair} at {hidden:.0%}: {', '.join(lost)}"] if lost else []
    if not said:
        return "Popularity wins nowhere but against `source_only`."
    return f"Popularity wins or ties (besides against `source_only`) here: {'; '.join(said)}."
