"""What every benchmark shares: where data are, what is written, how seeds are summed up."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import acclimate as ac
from acclimate.domains.domain import Domain
from acclimate.domains.read import read
from acclimate.methods.registry import parse, title
from acclimate.selection.bootstrap import Difference, verdict

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("ACCLIMATE_DATA", ROOT.parent / "shared" / "data"))
RESULTS = Path(__file__).resolve().parent / "results"
SEEDS = (0, 1, 2)
WHOLE: dict[str, Any] = {"tune": "full", "plain_baseline": False, "device": "cpu"}
"""Settings of runs of masks and boxes."""


def measure(source: Any, target: Any, test: Any, *, label: str, seed: int, **settings: Any) -> dict[str, Any]:
    """Adapt, then open the seal once: metrics of every arm, decision, verdict and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        run = ac.adapt(source, target, label=label, seed=seed, out=Path(folder) / "run", **settings)
        seconds = time.monotonic() - begun
        found = run.evaluate(test, label=label)
        primary = found["primary"]
        arms = {}
        for row in run.result["arms"]:
            validation, scores = row["source_validation"], row["target"]
            difference = scores.get("differences", {}).get(primary)
            arms[row["name"]] = {
                primary: scores["metrics"][primary],
                "interval": scores["intervals"][primary],
                "difference": difference,
                "source_validation": None if validation is None else validation["metrics"][primary],
                "label_free": {k: v for k, v in row["label_free"].items() if isinstance(v, float)},
                "seconds": row["seconds"],
                "steps": row["steps"],
            }
        return {
            "seed": seed,
            "seconds": round(seconds, 1),
            "decision": run.decision,
            "reasons": run.reasons,
            "verdict": run.verdict,
            "deployed": found["metrics"][primary],
            "n": found["n"],
            "arms": arms,
        }


def side_by_side(
    source: Any, target: Any, methods: Mapping[str, str], folder: Path, **settings: Any
) -> tuple[ac.Run, dict[str, str]]:
    """A run of several methods, in one word each, beside one source_only; and its arms by our names of the methods."""
    arms = {"source_only": "source_only", **{name: title(parse(text)) for name, text in methods.items()}}
    return ac.compare(source, target, methods=list(methods.values()), out=folder, **WHOLE, **settings), arms


def opened(run: ac.Run, test: Any, arms: Mapping[str, str], **options: Any) -> dict[str, Any]:
    """The seal opened once: metrics, interval and verdict of the arms that are named, and the plain baselines."""
    found = run.evaluate(test, **options)
    rows = {row["name"]: row for row in run.result["arms"]}
    shown: dict[str, dict[str, Any]] = {}
    for name, arm in arms.items():
        difference = rows[arm]["target"].get("differences", {}).get(found["primary"])
        shown[name] = {
            **found["arms"][arm]["metrics"],
            "interval": found["arms"][arm]["intervals"][found["primary"]],
            "verdict": None if difference is None else verdict(Difference(**difference), found["higher_is_better"]),
            "seconds": rows[arm]["seconds"],
        }
    return {"arms": shown, "baselines": {name: arm["metrics"] for name, arm in found["baselines"].items()}}


def images_of(place: Any, part: tuple[int, int] | None = None) -> Domain:
    """Images with masks; of those in the order of their content every ``part[1]``-th from ``part[0]`` on."""
    images = read(place, label="masks", shapes="masks")
    return images if part is None else images.select(images.order[part[0] :: part[1]])


def first_image(images: Domain) -> Domain:
    """The first by its content."""
    return images.select(images.order[:1])


def summary(runs: Sequence[Mapping[str, Any]], metric: str = "accuracy") -> dict[str, dict[str, float]]:
    """Mean and standard deviation over the seeds, in per cent, for each arm and for the deployed model."""
    names = list(runs[0]["arms"])
    values = {name: [100 * run["arms"][name][metric] for run in runs] for name in names}
    values["deployed"] = [100 * run["deployed"] for run in runs]
    return {
        name: {"mean": round(statistics.mean(v), 2), "sd": round(statistics.stdev(v), 2) if len(v) > 1 else 0.0}
        for name, v in values.items()
    }


def write(name: str, content: Mapping[str, Any], folder: Path = RESULTS) -> None:
    """One result file, with the environment it was measured in; a line a table row on stderr."""
    folder.mkdir(exist_ok=True)
    value = {"benchmark": name, "environment": environment(), **content}
    (folder / f"{name}.json").write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def say(*words: Any) -> None:
    """Progress for people."""
    print(*words, file=sys.stderr, flush=True)


def environment() -> dict[str, Any]:
    """What figures depend on."""
    import torch

    return {
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "acclimate": ac.__version__,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }
