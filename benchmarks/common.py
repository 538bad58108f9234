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

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("ACCLIMATE_DATA", ROOT.parent / "shared" / "data"))
RESULTS = Path(__file__).resolve().parent / "results"
SEEDS = (0, 1, 2)


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


def measure_masks(
    source: Any,
    target: Any,
    test: Any,
    *,
    parts: Sequence[tuple[int, int] | None] = (None, None),
    shown: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """All metrics of every arm of a segmentation, and of the plain baselines.

    ``parts`` are, of what is learned of the target (or of the source, where there is no target) and of what is
    measured, a number and a modulus: of the images in the order of their content these alone. With ``shown`` each arm
    also has the masks that it gives the first image that is measured (`first_image`), as text.
    """
    learned, measured = (source if target is None else target), test
    chosen = [images_of(place, part) for place, part in zip((learned, measured), parts, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        pair = (chosen[0], None) if target is None else (source, chosen[0].sealed())
        run = ac.adapt(*pair, out=Path(folder) / "run", plain_baseline=False, **settings)
        found = run.evaluate(chosen[1])
        arms = {name: {**arm["metrics"], "intervals": arm["intervals"]} for name, arm in found["arms"].items()}
        if shown:
            for name in arms:
                arms[name]["shown"] = str(run.arm(name).answers(first_image(chosen[1]).sealed()).prediction[0])
        return {
            "arms": arms,
            "baselines": {name: arm["metrics"] for name, arm in found["baselines"].items()},
            "decision": run.decision,
            "verdict": run.verdict,
        }


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
