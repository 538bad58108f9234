"""python -m benchmarks.meta.domains [pacs reviews hospitals] [--seeds 0,1,2] [--again]
What was measured is kept; --again measures it anew.

A handful of labelled rows of a domain that nobody trained on. 600 episodes of each target, 15 queries a class (3 of
hospitals, one of which has 8 healthy patients), on frozen features; figures beside each other are of the same episodes.

source_only reads no row of the target: logistic regression on all other domains. prototypes, probe, adapter and auto
see the support alone; tim and pt_map the unlabelled queries too, in which classes come equally often, as they assume.
protonet and maml were meta-trained on the other domains, each of which is a task, on a layer of 128 above the
features. Nothing was tuned on these targets. Seeds are those of episodes and meta-training.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import acclimate as ac
from acclimate.backbones.cache import as_domain
from acclimate.domains.domain import Domain
from acclimate.domains.episodes import Draw, Episodes
from acclimate.methods.few_shot.registry import create_level
from acclimate.runs.few_shot.classifier import fit
from acclimate.runs.meta.assess import mean
from benchmarks.common import DATA, SEEDS, say, write

RESULTS = Path(__file__).resolve().parent / "results"
EPISODES, TOGETHER = 600, 50
LEVELS: dict[str, Mapping[str, Any]] = {
    "prototypes": {},
    "probe": {},
    "adapter": {},
    "tim": {"balanced": True},
    "pt_map": {"balanced": True},
}
LEARNERS: dict[str, Mapping[str, Any]] = {
    "protonet": {"name": "protonet"},
    "maml": {"name": "maml", "steps": 3, "rate": 0.1},
}
TRAINING = {"steps": 1000, "learning_rate": 1e-3}
PACS = ("art_painting", "cartoon", "photo", "sketch")
REVIEWS = ("books", "dvd", "electronics", "kitchen")
HOSPITALS = ("cleveland", "hungarian", "switzerland")


@cache
def pacs() -> dict[str, Domain]:
    return {name: _read(f"{DATA}/images/pacs_112px_jpeg.zip?folder={name}", name) for name in PACS}


@cache
def reviews() -> dict[str, Domain]:
    file = f"{DATA}/text/amazon4_blitzer_raw.jsonl.gz"
    amazon = {name: _read(f"{file}?domain={name}", name, input="text") for name in REVIEWS}
    return {**amazon, "imdb": _read(f"{DATA}/text/imdb_2000.jsonl.gz", "imdb", input="text")}


@cache
def hospitals() -> dict[str, Domain]:
    file = f"{DATA}/medical/heart_disease_3hospitals.csv.gz"
    domains = {}
    for name in HOSPITALS:
        domain = ac.read(f"{file}?hospital={name}", input="*", label="num", name=name, exclude=("hospital",))
        assert domain.labels is not None
        ill = np.where(domain.labels.astype(float) > 0, "ill", "well").astype(object)
        domains[name] = replace(domain, labels=ill)
    return domains


def _read(place: str, name: str, **options: Any) -> Domain:
    return ac.read(place, label="label", name=name, **options)


TASKS: dict[str, tuple[Callable[[], dict[str, Domain]], str, tuple[str, ...], tuple[int, ...], int]] = {
    "pacs": (pacs, "efficientnet_lite0", PACS, (1, 5), 15),
    "reviews": (reviews, "minilm", ("imdb",), (5, 10, 20, 50), 15),
    "hospitals": (hospitals, "columns", HOSPITALS, (5,), 3),
}
"""Domains, backbone, targets, shots, and queries."""


def on_features(domains: Mapping[str, Domain], backbone: str) -> dict[str, Domain]:
    """The same rows as frozen features; imputation and scaling of columns follow the inputs of all domains."""
    from acclimate.backbones import registry
    from acclimate.domains.domain import join

    whole = join(list(domains.values()))
    values = np.asarray(next(iter(_embedded(registry, whole, backbone).values())))
    ends = np.cumsum([len(domain) for domain in domains.values()])
    parts = np.split(values, ends[:-1])
    return {name: as_domain(domain, part) for (name, domain), part in zip(domains.items(), parts, strict=True)}


def _embedded(registry: Any, whole: Domain, backbone: str) -> dict[str, np.ndarray]:
    if backbone != "columns":
        return ac.embed(whole, backbone)
    network = registry.create(backbone, whole.schema.modality)
    network.fit(whole.sealed())
    return {"columns": network.collate(whole.rows.take(np.arange(len(whole)))).numpy()}


def _values(domain: Domain) -> np.ndarray:
    return np.ascontiguousarray(domain.rows.take(np.arange(len(domain))), dtype=np.float32)


def level_scores(name: str, values: torch.Tensor, drawn: Draw, ways: int) -> np.ndarray:
    """Accuracy of each episode."""
    level, found = create_level(name, LEVELS[name]), []
    for start in range(0, len(drawn.support), TOGETHER):
        part = slice(start, start + TOGETHER)
        support, query = values[drawn.support[part]], values[drawn.query[part]]
        logits = level.logits(support, torch.from_numpy(drawn.support_way[part]), query, ways)
        found.append((logits.argmax(-1).numpy() == drawn.query_way[part]).mean(1))
    return np.concatenate(found)


def auto_scores(values: torch.Tensor, drawn: Draw, classes: tuple[str, ...], seed: int) -> np.ndarray:
    """What `few-shot` chooses on held-out support rows of each episode."""
    found = []
    for support, way, query, right in zip(drawn.support, drawn.support_way, drawn.query, drawn.query_way, strict=True):
        chosen = fit(values[support], torch.from_numpy(way), classes, seed=seed)
        found.append((chosen.say(values[query]).probabilities.argmax(1) == right).mean())
    return np.array(found)


def learned_scores(learner: Mapping[str, Any], others: list[Domain], episodes: Episodes, seed: int) -> np.ndarray:
    """A learner that was meta-trained on the other domains, in the same episodes."""
    from acclimate.runs.meta.assess import assess

    with tempfile.TemporaryDirectory() as folder:
        run = ac.meta_train(
            others,
            method=dict(learner),
            groups="tasks",
            shots=episodes.shots,
            queries=episodes.queries,
            backbone="mlp",
            seed=seed,
            label="label",
            training=TRAINING,
            validation=0.0,
            device="cpu",
            precision="fp32",
            out=Path(folder) / "run",
        )
        taught = run.learned
    sheet = assess(taught.learner, taught.model, taught.parts, episodes, EPISODES, taught.place("cpu"))
    return sheet["accuracy"]


def source_only_scores(others: list[Domain], values: np.ndarray, drawn: Draw, classes: tuple[str, ...]) -> np.ndarray:
    """Logistic regression on the other domains, in the same queries."""
    x, y = np.concatenate([_values(d) for d in others]), np.concatenate([d.labels.astype(str) for d in others])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500)).fit(x, y)
    said = np.array([classes.index(name) for name in model.predict(values)])
    return (said[drawn.query] == drawn.query_way).mean(1)


def _episodes(target: Domain, shots: int, queries: int, seed: int) -> Episodes:
    ways = len(set(target.labels.astype(str)))
    grouped = replace(target, groups=np.full(len(target), target.name, dtype=object))
    return Episodes(grouped, ways, shots, queries, seed=seed, groups="tasks")


def measure(domains: Mapping[str, Domain], target: str, shots: int, queries: int, seed: int) -> dict[str, Any]:
    """Every way of using the support rows, in the same 600 episodes."""
    whole, others = domains[target], [domain for name, domain in domains.items() if name != target]
    episodes = _episodes(whole, shots, queries, seed)
    drawn, classes = episodes.draw(0, EPISODES), tuple(sorted(set(whole.labels.astype(str))))
    array = _values(whole)
    values = torch.from_numpy(array)
    scores = {"source_only": source_only_scores(others, array, drawn, classes)}
    scores |= {name: level_scores(name, values, drawn, len(classes)) for name in LEVELS}
    scores["auto"] = auto_scores(values, drawn, classes, seed)
    scores |= {
        f"meta-trained {name}": learned_scores(learner, others, episodes, seed) for name, learner in LEARNERS.items()
    }
    return {name: mean(found) for name, found in scores.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    for task in args.tasks:
        read, backbone, targets, all_shots, queries = TASKS[task]
        path = RESULTS / f"domains_{task}.json"
        runs = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() and not args.again else []
        domains = on_features(read(), backbone)
        for seed in map(int, args.seeds.split(",")):
            for target in targets:
                for shots in all_shots:
                    if (target, shots, seed) in {(run["target"], run["shots"], run["seed"]) for run in runs}:
                        continue
                    found = measure(domains, target, shots, queries, seed)
                    runs.append({"target": target, "shots": shots, "seed": seed, "accuracy": found})
                    write(f"domains_{task}", {"protocol": __doc__, "backbone": backbone, "runs": runs}, RESULTS)
                    say(task, target, shots, seed, {name: round(100 * f["mean"], 1) for name, f in found.items()})


if __name__ == "__main__":
    main()
