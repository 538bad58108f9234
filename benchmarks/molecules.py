"""Molecules: four MoleculeNet sets by scaffold, and Tox21 assays that were never trained on, from few molecules."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

import acclimate as ac
from acclimate.backbones import registry
from acclimate.domains.domain import Domain
from acclimate.domains.molecules import grouped, readable
from acclimate.domains.split import split
from acclimate.seeds import generator
from benchmarks.common import DATA, RESULTS, SEEDS, WHOLE, say, write

FOLDER = DATA / "molecules"
NAME = "molecules"
SETS = {"bbbp": "p_np", "bace": "Class", "clintox": "CT_TOX", "hiv": "HIV_active"}
BACKBONES: dict[str, dict[str, Any]] = {
    "morgan": {}, "descriptors": {}, "minimol": {}, "molecule_graph": {"training": {"epochs": 30, "keep": "source"}},
}  # fmt: skip
LONG = {"hiv": 10}
"""Epochs of the graph network where 30 would take too long: twenty times as many molecules as BBBP has."""
ASSAYS = 9
SHOTS = (16, 64)
DRAWS = 20
QUERIES = 1000
LEARNERS = {"protonet": "molecule_graph", "maml": "morgan"}
"""And what they learn on: few-shot answers of MAML need inputs of one shape, so that it adapts on fingerprints."""
META = {"training": {"steps": 2000}}
TUNED = {"pretraining": {"epochs": 30}, "training": {"steps": 100, "batch_size": 16}}
"""Of a graph network that learned the known assays at once and is trained further, as a whole, on each support."""
FIXED = ("morgan", "minimol")
"""Features that answer from few molecules without being meta-trained, by prototypes."""
FOREST = {"n_estimators": 500, "n_jobs": 1}


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Protocol, by scaffold: a fifth of the rows is tested, that share no Bemis-Murcko scaffold with the others;
    which, by a hash with the seed; of the rest a fifth, again by scaffold, is held out to choose by. Linear heads on
    fingerprints, on descriptors and on MiniMol's frozen features, a graph network from scratch (30 epochs; of HIV 10,
    for the time alone), and a forest of 500 trees on the same fingerprints, with class weights. Protocol, few-shot:
    Tox21, its first nine assays are learned from, the last three are new; of each, supports of 16 and 64 molecules,
    half of them active, 20 draws; figures are ROC-AUC on 1,000 other molecules of the assay, drawn with the support.
    The molecules themselves may be known from other assays. ProtoNet is meta-trained on the graph network, MAML on
    frozen fingerprints, assays as tasks, 2,000 steps; for fine-tuning, a graph network learns the nine assays as nine
    labels of a molecule, 30 epochs, and is trained further on each support, 100 steps of which nothing chooses (a
    fifth of the support is held out, as of any source); the forest learns from each support alone, and so do
    prototypes of fingerprints and of MiniMol's features. Nothing was tuned."""
    path = RESULTS / f"{NAME}.json"
    found: dict[str, Any] = json.loads(path.read_text())["runs"] if path.is_file() else {}
    for seed in seeds:
        for key, cell in cells(seed):
            if f"{key} {seed}" not in found:
                found[f"{key} {seed}"] = cell()
                say(key, seed, found[f"{key} {seed}"])
                write(NAME, {"protocol": main.__doc__, "summary": summed(found), "runs": found})


def cells(seed: int) -> Iterator[tuple[str, Any]]:
    """Each cell by name, and what computes it."""
    for name, label in SETS.items():
        for backbone in (*BACKBONES, "forest"):
            yield f"{name} {backbone}", lambda n=name, c=label, b=backbone: by_scaffold(n, c, b, seed)
    for learner in (*LEARNERS, "finetune", "forest", *FIXED):
        yield f"tox21 {learner}", lambda b=learner: few_shot(b, seed)


def by_scaffold(name: str, label: str, backbone: str, seed: int) -> dict[str, float]:
    """Areas of one model on unseen scaffolds."""
    place = str(FOLDER / f"{name}.csv.gz")
    domain = ac.read(place, input="smiles", label=label, modality="molecule")
    rest, test = split(grouped(domain, "scaffold"), 0.2, seed)
    source, target = domain.select(rest), domain.select(test)
    if backbone == "forest":
        return areas(forest(source, seed, class_weight="balanced").predict_proba(prints(target))[:, 1], target.labels)
    options = dict(BACKBONES[backbone])
    if "training" in options:
        options["training"] = options["training"] | ({"epochs": LONG[name]} if name in LONG else {})
    with tempfile.TemporaryDirectory() as folder:
        run = ac.adapt(
            source, target.sealed(), label=label, method="source_only", backbone=backbone, split="scaffold", seed=seed,
            plain_baseline=False, out=Path(folder) / "run", **options,
        )  # fmt: skip
        found = run.evaluate(target, label=label, force=True)["metrics"]  # molecules that are there twice stay
        return {metric: found[metric] for metric in ("roc_auc", "pr_auc")}


def forest(source: Domain, seed: int, **options: Any) -> RandomForestClassifier:
    """A forest on Morgan fingerprints of the source."""
    return RandomForestClassifier(random_state=seed, **FOREST, **options).fit(
        prints(source), np.asarray(source.labels) == "1"
    )


def prints(domain: Domain) -> np.ndarray:
    """Morgan fingerprints ``[n, 2048]``."""
    return registry.create("morgan", "molecule").collate(domain.rows.take(np.arange(len(domain)))).numpy()


def areas(scores: np.ndarray, labels: Any) -> dict[str, float]:
    """ROC-AUC and average precision of "1"."""
    positive = np.asarray(labels) == "1"
    return {"roc_auc": roc_auc_score(positive, scores), "pr_auc": average_precision_score(positive, scores)}


def few_shot(learner: str, seed: int) -> dict[str, Any]:
    """Mean ROC-AUC over draws, by assay and shots."""
    known, new = assays()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "model"
        if learner in LEARNERS:
            ac.meta_train(
                ac.read(known, input="smiles", label="y", group="assay", modality="molecule"), method=learner, ways=2,
                shots=8, queries=16, groups="tasks", backbone=LEARNERS[learner], seed=seed, out=place, **META,
            )  # fmt: skip
        if learner == "finetune":
            pretrained(place, seed)
        found: dict[str, Any] = {}
        for name, frame in new.groupby("assay"):
            for shots in SHOTS:
                scores = [drawn(learner, place, frame, shots, seed, draw) for draw in range(DRAWS)]
                found[f"{name} {shots}"] = {"mean": float(np.mean(scores)), "sd": float(np.std(scores))}
        return found


def drawn(learner: str, place: Path, frame: pd.DataFrame, shots: int, seed: int, draw: int) -> float:
    """ROC-AUC from one support."""
    rng = generator(seed, "support", str(frame["assay"].iloc[0]), shots, draw)
    chosen = np.concatenate([rng.choice(np.flatnonzero(frame["y"] == y), shots // 2, replace=False) for y in "01"])
    support, others = frame.iloc[chosen], frame.drop(frame.index[chosen])
    rest = others.iloc[rng.permutation(len(others))[:QUERIES]]
    domains = [ac.read(part, input="smiles", label="y", modality="molecule") for part in (support, rest)]
    if learner == "forest":
        scores = forest(domains[0], seed).predict_proba(prints(domains[1]))[:, 1]
    elif learner == "finetune":
        scores = tuned(place, *domains, seed)
    else:
        backbone = str(place) if learner in LEARNERS else learner
        scores = ac.FewShot(backbone=backbone, seed=seed).fit(domains[0]).predict_proba(domains[1])[:, 1]
    return areas(scores, domains[1].labels)["roc_auc"]


def pretrained(place: Path, seed: int) -> None:
    """A graph network that learned the known assays, as labels of a molecule."""
    wide, names = tox21()
    label = "|".join(names[:ASSAYS])
    ac.adapt(
        ac.read(wide, input="smiles", label=label, modality="molecule"), label=label, method="source_only",
        backbone="molecule_graph", seed=seed, out=place, training=TUNED["pretraining"], **WHOLE,
    )  # fmt: skip


def tuned(place: Path, support: Domain, rest: Domain, seed: int) -> np.ndarray:
    """Scores of "1" after the pretrained network was trained on a support."""
    with tempfile.TemporaryDirectory() as folder:
        run = ac.adapt(
            support, rest.sealed(), label="y", method="source_only", backbone=str(place), tune="full", seed=seed,
            plain_baseline=False, out=Path(folder) / "run", training=TUNED["training"],
        )  # fmt: skip
        return run.arm("source_only").answers(rest.sealed()).probabilities[:, 1]


def tox21() -> tuple[pd.DataFrame, list[str]]:
    """Its readable molecules, a row each, and the names of the assays."""
    wide = pd.read_csv(FOLDER / "tox21.csv.gz")
    wide = wide[readable(wide["smiles"].tolist())]
    return wide, [name for name in wide if name not in ("mol_id", "smiles")]


def assays() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tox21 with a row for each molecule and assay: assays that are learned from, and new ones."""
    wide, names = tox21()
    long = wide.melt("smiles", names, "assay", "y").dropna().reset_index(drop=True)
    long["y"] = long["y"].astype(int).astype(str)
    mine = long["assay"].isin(names[:ASSAYS])
    return long[mine].reset_index(drop=True), long[~mine].reset_index(drop=True)


def summed(found: dict[str, Any]) -> dict[str, Any]:
    """Mean and deviation of the ROC-AUC over the seeds."""
    values: dict[str, list[float]] = {}
    for key, cell in found.items():
        name = key.rsplit(" ", 1)[0]
        each = {name: cell["roc_auc"]} if "roc_auc" in cell else {f"{name} {k}": v["mean"] for k, v in cell.items()}
        for title, value in each.items():
            values.setdefault(title, []).append(value)
    return {title: {"mean": float(np.mean(v)), "sd": float(np.std(v))} for title, v in values.items()}
