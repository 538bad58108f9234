"""Translation from captions to COVID texts: a small transformer trained here, and what adapting it gives."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import acclimate as ac
from acclimate.files import cache_folder
from acclimate.seeds import derive, generator
from benchmarks.common import DATA, RESULTS, SEEDS, say, write

CAPTIONS = DATA / "translation" / "multi30k_train.jsonl.gz"
OTHER_CAPTIONS = DATA / "translation" / "multi30k_test_2016_flickr.jsonl.gz"
COVID = DATA / "translation" / "tico19_covid_en_fr.jsonl.gz"
COMMON: dict[str, Any] = {
    "task": "translate", "input": "en", "label": "fr", "device": "cpu", "precision": "fp32", "plain_baseline": False
}  # fmt: skip
TRAINING = {"epochs": 4, "learning_rate": 2e-3}
LATER = {"steps": 120, "batch_size": 32}
REPLAYED, PAIRS, TESTED = 2000, 300, 300
CELLS: dict[str, dict[str, Any]] = {
    "knn_mt": {"method": "knn_mt", "tune": "frozen"},
    "finetune": {"method": "target_only", "tune": "full"},
    "lora": {"method": "target_only", "tune": "lora"},
    "joint": {"method": "joint", "tune": "full"},
    "dann": {"method": "dann", "tune": "full"},
    "self_training": {"method": "self_training", "tune": "full"},
}
UNLABELLED = ("dann", "self_training")


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Protocol: a transformer of 2 + 2 layers, width 128, 4,000 byte pairs, learns 29,000 captions for 4 epochs on one
    core (Multi30k, en to fr). It is then adapted to TICO-19: 300 pairs of some documents, or for dann and self_training
    the English of these alone, 120 steps of 32 rows; joint, dann, self_training and source_only beside them go on with
    2,000 of the captions. Figures on 300 rows of other documents, and on 300 test captions. kNN-MT changes no weight;
    its source_only is the transformer as it was. Nothing was tuned on these rows; seeds are those of training and of
    the draw. What was measured is kept."""
    path = RESULTS / "translation.json"
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    for seed in seeds:
        for name, asked in CELLS.items():
            if (name, seed) in {(run["cell"], run["seed"]) for run in runs}:
                continue
            found = cell(name, asked, seed)
            runs.append(found)
            arms = {
                arm: {k: round(100 * v["chrf"], 1) for k, v in scores.items()} for arm, scores in found["arms"].items()
            }
            say(seed, name, found["seconds"], arms)
            write("translation", {"protocol": main.__doc__, "runs": runs})


def base(seed: int) -> Path:
    """The folder of a small transformer trained on captions, made if it is not there."""
    folder = cache_folder("benchmarks", f"translation_{seed}")
    if not (folder / "result.json").is_file():
        ac.adapt(
            CAPTIONS, backbone="small_seq2seq", method="source_only", training=TRAINING, validation=0.02, seed=seed,
            out=folder, force=True, **COMMON,
        )  # fmt: skip
    return folder


def cell(name: str, asked: dict[str, Any], seed: int) -> dict[str, Any]:
    """One way to adapt, and source_only beside it."""
    backbone, drawn = base(seed), generator(seed, "translation")
    captions, covid = (ac.read(place, input="en", label="fr", modality="text") for place in (CAPTIONS, COVID))
    source = captions.select(drawn.permutation(len(captions))[:REPLAYED])
    learned, tested = documents()
    target = covid.select(drawn.permutation(learned)[:PAIRS])
    permission = {} if name in UNLABELLED else {"target_label": "fr"}
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = ac.adapt(
            source, target.sealed() if name in UNLABELLED else target, out=Path(folder) / "run", training=LATER,
            backbone=str(backbone), validation=0.1, seed=seed, **asked, **permission, **COMMON,
        )  # fmt: skip
        rest = ac.read(OTHER_CAPTIONS, input="en", label="fr", modality="text").select(np.arange(TESTED))
        opened = {"target": run.evaluate(covid.select(tested), label="fr"), "source": run.evaluate(rest, label="fr")}
    arms: dict[str, dict[str, Any]] = {}
    for side, found in opened.items():
        for group in ("arms", "baselines"):
            for arm, scores in found[group].items():
                arms.setdefault(arm, {})[side] = {key: float(value) for key, value in scores["metrics"].items()}
    seconds = json.loads((backbone / "result.json").read_text(encoding="utf-8"))["arms"][0]["seconds"]
    return {
        "cell": name,
        "seed": seed,
        "decision": run.decision,
        "stages": next(arm["stages"] for arm in run.result["arms"] if arm["name"] == asked["method"]),
        "base_seconds": seconds,
        "seconds": round(time.monotonic() - begun, 1),
        "arms": arms,
    }


def documents() -> tuple[np.ndarray, np.ndarray]:
    """Rows of documents to learn from, and rows to test on of others; the same for all seeds."""
    found = ac.read(COVID, input="en", label="fr", group="source", modality="text").groups
    assert found is not None
    names = sorted(set(found), key=lambda name: derive(0, "translation", name))
    tested: list[int] = []
    for name in names:
        if len(tested) < TESTED:
            tested += np.flatnonzero(found == name).tolist()
    rest = np.setdiff1d(np.arange(len(found)), tested)
    return rest, generator(0, "translation", "tested").permutation(tested)[:TESTED]
