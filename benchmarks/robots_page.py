"""docs/scenes/robots.md and its picture, from the JSON of `benchmarks.robots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.robots.bodies import CHANGES
from benchmarks.common import ROOT, table

PICTURE = ROOT / "docs" / "scenes" / "robots.svg"
ARMS = {
    "random": "random actions",
    "nominal": "nominal model, no adaptation",
    "randomise": "domain randomisation, no adaptation",
    "finetune": "nominal model, fine-tuned",
    "randomise+finetune": "randomised model, fine-tuned",
    "maml": "MAML",
    "oracle": "oracle: 800 s of the very body",
}
DRAWN = {
    "nominal": "tab:red",
    "randomise": "tab:orange",
    "finetune": "tab:blue",
    "maml": "tab:green",
    "oracle": "black",
}
HEAD = """# Robots: ten seconds to learn a new body

Written by `python -m benchmarks.report` from `benchmarks/results/robots.json`; do not edit.

**Problem.** A controller plans with a model of how its robot moves. The robot that it meets is heavier, longer, under
other gravity or slower to obey than those that the model was learned from, and there are ten seconds of data of it.

**Data.** Gymnasium's Pendulum-v1 (extra `control`), simulated: no files. Its reward is minus a cost (0 is best): angle
from upright, speed and torque, summed over 200 steps of 0.05 s. The motor is too weak to lift the pendulum at once.

**Command**, with the defaults; what was measured has the settings of its protocol.

```bash
acclimate control --env Pendulum-v1 --bodies 40 --seconds 10 --method maml -o runs/robot
acclimate control --adapt runs/robot --data transitions.csv -o runs/controller     # of a real body
```

```python
run = ac.control("Pendulum-v1", bodies=40, seconds=10, method="maml", out="runs/robot")
controller = run.adapt("transitions.csv")  # columns state_0, ..., action_0, ..., next_state_0, ...
controller.act(observation)
```

A model reads the state (angles as sine and cosine), the action and the last three actions, without which a delay could
not be seen, and says how the state changes. The planner is model-predictive control by the cross-entropy method.
Settings: [recipes.md](../recipes.md#settings-of-acclimate-control).
"""


def page(found: Mapping[str, Any]) -> str:
    """The whole page."""
    runs = found["runs"]
    seeds = len({run["seed"] for run in runs})
    told = " ".join(str(found["protocol"]).split()).removeprefix("Protocol: ")
    parts = [
        HEAD,
        f"**Protocol.** {told[0].upper()}{told[1:]} {len(runs)} bodies over {seeds} seeds; intervals are 95 % "
        "over bodies.",
        "## Return of an episode\n\nMean over bodies, the best of those that adapt or do not in bold.",
        table(["", *CHANGES, "all (95 %)"], [_returns(runs, arm) for arm in ARMS]),
        "![Returns by change, and the height of a longer pendulum over an episode](robots.svg)",
        "## Error of the model, one step ahead\n\nMedian over bodies, in squared units of the deviation of the "
        "training's changes: 1 is what a constant says.",
        table(["", *CHANGES], [_errors(runs, arm) for arm in ARMS if arm != "random"]),
        "## What helped, and what failed\n\nDifferences of the return on the same bodies, from the same first state:",
        table(["", *CHANGES, "all (95 %)"], [_against(runs, *pair) for pair in PAIRS]),
        _remarks(runs),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


PAIRS = (
    ("finetune", "nominal"),
    ("randomise", "nominal"),
    ("randomise+finetune", "randomise"),
    ("maml", "randomise"),
    ("maml", "finetune"),
    ("maml", "randomise+finetune"),
    ("oracle", "randomise+finetune"),
)


def mean(values: np.ndarray) -> dict[str, float]:
    """Mean of independent values, and its 95 % interval by the normal distribution."""
    middle, half = float(values.mean()), 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    return {"mean": middle, "low": middle - half, "high": middle + half}


def _of(runs: Sequence[Mapping[str, Any]], arm: str, key: str, change: str | None = None) -> np.ndarray:
    return np.array([run["arms"][arm][key] for run in runs if change in (None, run["change"])])


def _returns(runs: Sequence[Mapping[str, Any]], arm: str) -> list[str]:
    cells = []
    for change in (*CHANGES, None):
        value = _of(runs, arm, "return", change).mean()
        best = max(_of(runs, a, "return", change).mean() for a in ARMS if a not in ("random", "oracle"))
        mark = "**" if arm not in ("random", "oracle") and round(value) == round(best) else ""
        cells.append(f"{mark}{value:.0f}{mark}")
    told = mean(_of(runs, arm, "return"))
    return [ARMS[arm], *cells[:-1], f"{cells[-1]} ({told['low']:.0f} to {told['high']:.0f})"]


def _errors(runs: Sequence[Mapping[str, Any]], arm: str) -> list[str]:
    return [ARMS[arm], *(f"{np.median(_of(runs, arm, 'error', change)):.4f}" for change in CHANGES)]


def _difference(runs: Sequence[Mapping[str, Any]], one: str, other: str, change: str | None = None) -> dict[str, float]:
    return mean(_of(runs, one, "return", change) - _of(runs, other, "return", change))


def _against(runs: Sequence[Mapping[str, Any]], one: str, other: str) -> list[str]:
    each = [f"{_difference(runs, one, other, change)['mean']:+.0f}" for change in CHANGES]
    told = _difference(runs, one, other)
    return [f"{one} less {other}", *each, f"{told['mean']:+.0f} ({told['low']:+.0f} to {told['high']:+.0f})"]


def _remarks(runs: Sequence[Mapping[str, Any]]) -> str:
    """What the figures say, in sentences that follow from them."""
    said = []
    for plain in ("finetune", "randomise+finetune"):
        told = _difference(runs, "maml", plain)
        word = "beats" if told["low"] > 0 else "loses to" if told["high"] < 0 else "does not beat"
        worse = [change for change in CHANGES if _difference(runs, "maml", plain, change)["mean"] < -1]
        where = f"; its mean is lower for {', '.join(worse)}" if worse else ""
        said.append(f"- MAML {word} `{plain}` in return{where}.")
    told = _difference(runs, "randomise", "nominal")
    word = "helps" if told["low"] > 0 else "hurts" if told["high"] < 0 else "changes nothing that can be told"
    said.append(f"- Domain randomisation without adaptation {word} against the nominal model ({told['mean']:+.0f}).")
    for change in CHANGES:
        told = _difference(runs, "oracle", "nominal", change)
        if told["low"] <= 0:
            bodies = sum(run["change"] == change for run in runs)
            said.append(
                f"- For {change}, on {bodies} bodies, even the oracle is not surely better than the nominal model "
                f"({told['mean']:+.0f}, {told['low']:+.0f} to {told['high']:+.0f}): a planner that plans anew at each "
                "step forgives much, and few starts are hard."
            )
    hurt = {
        arm: sum(run["arms"][arm]["return"] < run["arms"][base]["return"] - 50 for run in runs)
        for arm, base in (("finetune", "nominal"), ("randomise+finetune", "randomise"), ("maml", "randomise"))
    }
    said.append(
        "- Bodies on which adapting cost more than 50: "
        + ", ".join(f"`{arm}` {count} of {len(runs)}" for arm, count in hurt.items())
        + "."
    )
    said.append(
        "- One robot was measured. CartPole runs through the same command; a locomotion task (HalfCheetah) was tried "
        "and left out: a planner on a model of random actions ended below standing still ([robots.md](../robots.md))."
    )
    return "\n".join(said)


def draw(found: Mapping[str, Any], path: Path = PICTURE) -> None:
    """Returns by change, and the angle over an episode of one body."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "acclimate"
    runs = found["runs"]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for k, (arm, colour) in enumerate(DRAWN.items()):
        values = [mean(_of(runs, arm, "return", change)) for change in CHANGES]
        heights = [value["mean"] for value in values]
        spans = [[v["mean"] - v["low"] for v in values], [v["high"] - v["mean"] for v in values]]
        places = np.arange(len(CHANGES)) + (k - 2) * 0.16
        left.bar(places, heights, 0.15, yerr=spans, color=colour, label=arm, error_kw={"lw": 0.8})
    left.set_xticks(range(len(CHANGES)), CHANGES)
    left.set_ylabel("return (0 is best)")
    left.set_title("unseen bodies, mean and 95 %", fontsize=10)
    shown = next(run for run in runs if "angles" in run["arms"]["oracle"])
    for arm, colour in DRAWN.items():
        height = np.cos(shown["arms"][arm]["angles"])
        right.plot(0.05 * np.arange(len(height)), height, color=colour, lw=1.2, label=arm)
    right.set_xlabel("seconds")
    right.set_ylabel("height (1 is upright)")
    right.set_title(f"a pendulum {shown['body']['length']:.2f} times as long", fontsize=10)
    right.legend(fontsize=8, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
