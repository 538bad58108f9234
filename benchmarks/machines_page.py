"""docs/scenes/machines.md and its picture, from the JSON of `benchmarks.bearings` and `benchmarks.turbofans`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from benchmarks.bearings import FILE, LOADS
from benchmarks.common import ROOT, table
from benchmarks.sites_page import cell, told

PICTURE = ROOT / "docs" / "scenes" / "machines.svg"
PLAIN = "plain"
BEARINGS, TURBOFANS = "bearings", "turbofans"
SHOWN_FAULT = "OR007"
METRICS = {"rmse": "RMSE", "mae": "MAE", "nasa_score": "score of NASA"}
OUTCOME = (
    "A decision says, without labels, which model is deployed; a verdict, with them, whether the adapted one is better "
    "than source_only."
)
ACCURACY = f"Accuracy, per cent: mean over seeds, the deviation between them in brackets. {OUTCOME}"
CYCLES = "Cycles, and the score; lower is better; mean over seeds, the deviation between them in brackets."
HEAD = """# Machines: bearings under another load, engines with another fault

Written by `python -m benchmarks.report` from `benchmarks/results/bearings.json` and `turbofans.json`; do not edit.

**Problem.** Which fault a bearing has, by a model that learned at another load of the motor; how many cycles an engine
has left, by a model that only knew engines with one kind of fault.

**Data.** Vibration of drive-end bearings at 12 kHz (Case Western Reserve University), nine faults at loads of 0 to 3
horsepower; C-MAPSS, NASA's simulated turbofans (Saxena et al. 2008): FD001 has one kind of fault, FD003 two.

**Command**, with the defaults; what was measured has the settings of its protocol.

```bash
acclimate adapt --modality series --source 'cwru.npz?load=0&y!=N' --target 'cwru.npz?load=3' --method auto \\
    -o runs/bearing
acclimate evaluate runs/bearing --data 'cwru.npz?load=3&y!=N'      # opens the seal

acclimate adapt --modality series --task remaining_life --group unit --label steps_left \\
    --source 'train_FD001.csv.gz?time=cycle&window=30&stride=5' --target test_FD003.csv.gz --method coral \\
    -o runs/engines
acclimate evaluate runs/engines --data 'test_FD003_lives.csv?take=last' --label rul
```

What series are, and what is done with gaps and with sensors that are not there: [series.md](../series.md).
"""


def page(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole page, of what was measured."""
    parts = [HEAD, "![Vibration at two loads, accuracy by pair of loads, error on engines](machines.svg)"]
    failed = []
    if BEARINGS in found:
        runs = found[BEARINGS]["runs"]
        parts += [f"## Bearings\n\n{told(found[BEARINGS])}\n\n{ACCURACY}", _pairs(runs)]
        failed += _remarks_on_bearings(runs)
    if TURBOFANS in found:
        runs = found[TURBOFANS]["runs"]
        parts += [f"## Engines\n\n{told(found[TURBOFANS])}\n\n{CYCLES}", _engines(runs)]
        failed += _remarks_on_engines(runs)
    parts.append("## What failed\n\n" + "\n".join(f"- {line}" for line in failed))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _measured(runs: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    return {name: each for name, each in runs.items() if each}


def _arms(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Every arm that was measured, the plain one last."""
    names = dict.fromkeys(arm for each in runs.values() for run in each for arm in run["arms"])
    return sorted(names, key=lambda name: name == PLAIN)


def _accuracies(runs: Sequence[Mapping[str, Any]], arm: str) -> list[float]:
    if arm == "deployed":
        return [run["deployed"] for run in runs]
    return [run["arms"][arm]["accuracy"] for run in runs if arm in run["arms"]]


def _outcomes(runs: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{run['decision']} / {run['verdict']}" for run in runs)


def _pairs(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    done = _measured(runs)
    arms = [*_arms(done), "deployed"]
    rows = []
    for pair, each in done.items():
        values = (_accuracies(each, arm) for arm in arms)
        rows.append([pair, str(len(each)), *(cell(value) if value else "" for value in values), _outcomes(each)])
    means = [_over_pairs(done, arm) for arm in arms]
    rows.append(["**mean of pairs**", "", *(f"{100 * value:.1f}" for value in means), ""])
    return table(["load to load", "seeds", *arms, "decision / verdict by seed"], rows)


def _over_pairs(runs: Mapping[str, Sequence[Mapping[str, Any]]], arm: str) -> float:
    return mean(mean(values) for each in runs.values() if (values := _accuracies(each, arm)))


def _remarks_on_bearings(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    done = _measured(runs)
    base = _over_pairs(done, "source_only")
    said = []
    for arm in _arms(done):
        if arm == "source_only":
            continue
        worse = [
            pair
            for pair, each in done.items()
            if (own := _accuracies(each, arm)) and mean(own) < mean(_accuracies(each, "source_only"))
        ]
        gain = 100 * (_over_pairs(done, arm) - base)
        where = f"; below it for {len(worse)} of {len(done)} pairs ({', '.join(worse)})" if worse else ""
        said.append(f"Bearings: `{arm}` is {gain:+.1f} points from source_only on average{where}.")
    each_run = [run for each in done.values() for run in each]
    hurt = [run for run in each_run if run["decision"] == "adapt" and run["verdict"] == "hurt"]
    missed = [run for run in each_run if run["decision"] != "adapt" and _best(run) > run["deployed"] + 0.02]
    said.append(
        f"Bearings: of {len(each_run)} decisions, {len(hurt)} adapted and hurt, and {len(missed)} did not adapt where "
        "an arm was better by more than two points."
    )
    return said


def _best(run: Mapping[str, Any]) -> float:
    return max(arm["accuracy"] for arm in run["arms"].values())


def _lives(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """Scores by test set and arm. What stands beside each method (source_only, baselines) is taken from the first."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for name, each in _measured(runs).items():
        test, method = name.split()
        for arm in each[0]["arms"]:
            if arm == method or (test, arm) not in found:
                found[test, arm] = [run["arms"][arm] for run in each]
    return found


def _engines(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    rows = []
    for (test, arm), scores in sorted(_lives(runs).items(), key=lambda item: item[0][0]):
        each = runs.get(f"{test} {arm}", ())
        values = [_spread([score[metric] for score in scores]) for metric in METRICS]
        rows.append([test, arm, str(len(scores)), *values, _outcomes(each)])
    return table(["tested on", "arm", "seeds", *METRICS.values(), "decision / verdict by seed"], rows)


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.1f}" + (f" ({stdev(values):.1f})" if len(values) > 1 else "")


def _remarks_on_engines(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    scores = _lives(runs)
    errors = {place: mean(score["rmse"] for score in each) for place, each in scores.items()}
    said = []
    for test in sorted({test for test, _ in errors}):
        base = errors[test, "source_only"]
        own = {arm: value for (name, arm), value in errors.items() if name == test and arm != "source_only"}
        worse = [f"`{arm}` ({value:.1f})" for arm, value in own.items() if value >= base]
        best = min(own, key=own.__getitem__)
        helped = f"the best other arm is `{best}` ({own[best]:.1f})" if own[best] < base else "no arm is better"
        said.append(
            f"Engines of {test}: source_only has an RMSE of {base:.1f}; {helped}; not better: "
            f"{', '.join(worse) or 'none'}."
        )
        each = [run for name, runs_of in _measured(runs).items() if name.split()[0] == test for run in runs_of]
        hurt = sum(run["decision"] == "adapt" and run["verdict"] == "hurt" for run in each)
        said.append(f"Engines of {test}: of {len(each)} decisions, {hurt} adapted and hurt.")
        nasa = {
            arm: mean(score["nasa_score"] for score in each) for (name, arm), each in scores.items() if name == test
        }
        best = min(nasa, key=nasa.__getitem__)
        said.append(f"Engines of {test}: by NASA's score the best is `{best}` ({nasa[best]:.0f}).")
    if {("FD001", "source_only"), ("FD003", "source_only")} <= errors.keys():
        shift = errors["FD003", "source_only"] - errors["FD001", "source_only"]
        said.append(f"Engines: the second fault costs {shift:.1f} cycles of RMSE before anything is adapted.")
    return said


def draw(found: Mapping[str, Mapping[str, Any]], path: Path = PICTURE) -> None:
    """One fault at two loads, accuracy of source_only and of what was deployed by pair, and error on engines."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "acclimate"
    figure, axes = pyplot.subplots(1, 4, figsize=(14, 3.4), layout="constrained")
    _draw_signals(axes[0])
    if BEARINGS in found:
        done = _measured(found[BEARINGS]["runs"])
        for axis, arm in zip(axes[1:3], ("source_only", "deployed"), strict=True):
            _draw_pairs(axis, done, arm)
    if TURBOFANS in found:
        _draw_errors(axes[3], _lives(found[TURBOFANS]["runs"]))
    for axis in axes:
        axis.set_axis_on() if axis.has_data() else axis.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _draw_signals(axis: Any) -> None:
    with np.load(FILE) as arrays:
        names = arrays["class_names"][arrays["y"]]
        fault = next(name for name in np.unique(names) if name.startswith(SHOWN_FAULT))
        for load, colour in ((LOADS[0], "tab:blue"), (LOADS[-1], "tab:orange")):
            signal = arrays["x"][(names == fault) & (arrays["load"] == load)][0].astype(float)
            axis.plot(np.arange(300) / 12, signal[:300], lw=0.8, color=colour, label=f"load {load}")
    axis.set_xlabel("milliseconds")
    axis.set_title(f"one fault ({fault}), two loads", fontsize=10)
    axis.legend(fontsize=8)


def _draw_pairs(axis: Any, runs: Mapping[str, Sequence[Mapping[str, Any]]], arm: str) -> None:
    values = np.full((len(LOADS), len(LOADS)), np.nan)
    for pair, each in runs.items():
        source, target = (int(load) for load in pair.split(" to "))
        values[source, target] = 100 * mean(_accuracies(each, arm))
    axis.imshow(values, vmin=0, vmax=100, cmap="viridis")
    for (source, target), value in np.ndenumerate(values):
        if np.isfinite(value):
            axis.text(
                target, source, f"{value:.0f}", ha="center", va="center", color="black" if value > 60 else "white"
            )
    axis.set_xticks(LOADS)
    axis.set_yticks(LOADS)
    axis.set_xlabel("load where it works")
    axis.set_ylabel("load where it learned")
    axis.set_title(f"accuracy of {arm}, per cent", fontsize=10)


def _draw_errors(axis: Any, scores: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]) -> None:
    tests = sorted({test for test, _ in scores})
    arms = list(dict.fromkeys(arm for _, arm in scores))
    for k, test in enumerate(tests):
        errors = [mean(score["rmse"] for score in scores.get((test, arm), ())) if (test, arm) in scores else 0.0
                  for arm in arms]  # fmt: skip
        axis.barh(np.arange(len(arms)) + 0.4 * k, errors, 0.38, label=test)
    axis.set_yticks(np.arange(len(arms)) + 0.2, arms)
    axis.invert_yaxis()
    axis.set_xlabel("RMSE, cycles")
    axis.set_title("remaining life", fontsize=10)
    axis.legend(fontsize=8)
