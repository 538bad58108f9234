"""docs/scenes/molecules.md and its picture, from the JSON of `benchmarks.molecules`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.common import ROOT, table
from benchmarks.molecules import BACKBONES, FOLDER, LEARNERS, SETS, SHOTS
from benchmarks.sites_page import cell, told

PICTURE = ROOT / "docs" / "scenes" / "molecules.svg"
FOREST = "forest"
ARMS = {
    "morgan": "fingerprints, linear",
    "descriptors": "descriptors, linear",
    "minimol": "MiniMol, linear",
    "molecule_graph": "graph network",
    FOREST: "fingerprints, random forest",
}
LEARNED = {
    "protonet": "ProtoNet, graph network",
    "maml": "MAML, fingerprints",
    "finetune": "fine-tuning, graph network",
    "morgan": "prototypes of fingerprints, nothing meta-trained",
    "minimol": "prototypes of MiniMol, nothing meta-trained",
    FOREST: "random forest, each support by itself",
}
METRICS = {"roc_auc": "ROC-AUC", "pr_auc": "PR-AUC"}
HEAD = """# Drug discovery: molecules unlike those that are known

Written by `python -m benchmarks.report` from `benchmarks/results/molecules.json`; do not edit.

**Problem.** Does a molecule pass into the brain, block an enzyme, harm, stop a virus? Those that are asked about have
other scaffolds than those that were measured; and of a new assay a handful of answers is all that there is.

**Data.** BBBP, BACE, ClinTox, HIV and Tox21 as MoleculeNet has them (Wu et al. 2018).

**Command**, with the defaults; what was measured has the settings of its protocol.

```bash
acclimate adapt --modality molecule --source bbbp.csv.gz --target new.csv --input smiles --label p_np \\
    --split scaffold --method source_only --backbone morgan -o runs/bbb
acclimate predict runs/bbb --data new.csv -o answers.csv

acclimate meta-train --source tox21_by_assay.csv --modality molecule --input smiles --label y --groups tasks \\
    --group assay --ways 2 --method protonet --backbone molecule_graph -o runs/assays
acclimate few-shot --support sixteen.csv --data others.csv --input smiles --label y --modality molecule \\
    --backbone runs/assays -o answers.csv
```

What is read, and what is done with salts, metals and what is no molecule: [molecules.md](../molecules.md).
"""


def page(found: Mapping[str, Any]) -> str:
    """The whole page, of what was measured."""
    runs = found["runs"]
    parts = [
        HEAD,
        f"{told(found)}",
        "Per cent; mean over seeds, the deviation between them in brackets, the best mean in bold.",
        "![Molecules of a known and of a new scaffold, and areas under the curve](molecules.svg)",
    ]
    if by_scaffold := [_row_of_set(runs, name, metric) for metric in METRICS for name in SETS if _any(runs, name)]:
        parts += ["## Unseen scaffolds", table(["set", "", "seeds", *ARMS.values()], by_scaffold)]
    if shots := [_row_of_assay(runs, *place) for place in _assays(runs)]:
        parts += ["## New assays of Tox21, ROC-AUC", table(["assay", "molecules", *LEARNED.values()], shots)]
        seeds = ", ".join(f"{LEARNED[learner]}: {len(_cells(runs, f'tox21 {learner}'))}" for learner in LEARNED)
        parts.append(f"In brackets here: the deviation between seeds, each the mean of its draws. Seeds: {seeds}.")
    parts.append("## Where the forest wins, and what failed\n\n" + "\n".join(f"- {line}" for line in _remarks(runs)))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _cells(runs: Mapping[str, Any], key: str) -> list[Any]:
    """What was measured under a key, in the order of the seeds."""
    return [value for name, value in sorted(runs.items()) if name.rsplit(" ", 1)[0] == key]


def _areas(runs: Mapping[str, Any], name: str, arm: str, metric: str = "roc_auc") -> list[float]:
    return [value[metric] for value in _cells(runs, f"{name} {arm}")]


def _shots(runs: Mapping[str, Any], learner: str, place: str) -> list[float]:
    return [value[place]["mean"] for value in _cells(runs, f"tox21 {learner}") if place in value]


def _any(runs: Mapping[str, Any], name: str) -> bool:
    return any(_areas(runs, name, arm) for arm in ARMS)


def _assays(runs: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Every assay with every number of molecules that some learner was measured on."""
    places = {place for learner in LEARNED for value in _cells(runs, f"tox21 {learner}") for place in value}
    for assay in sorted({place.rsplit(" ", 1)[0] for place in places}):
        yield from ((assay, shots) for shots in SHOTS if f"{assay} {shots}" in places)


def _bold(values: Sequence[Sequence[float]]) -> list[str]:
    """A cell each, the best mean in bold, empty where nothing was measured."""
    best = max((mean(value) for value in values if value), default=0.0)
    told = []
    for value in values:
        mark = "**" if value and mean(value) == best else ""
        told.append(f"{mark}{cell(value)}{mark}" if value else "")
    return told


def _row_of_set(runs: Mapping[str, Any], name: str, metric: str) -> list[str]:
    values = [_areas(runs, name, arm, metric) for arm in ARMS]
    return [name, METRICS[metric], str(max(map(len, values))), *_bold(values)]


def _row_of_assay(runs: Mapping[str, Any], assay: str, shots: int) -> list[str]:
    return [assay, str(shots), *_bold([_shots(runs, learner, f"{assay} {shots}") for learner in LEARNED])]


def _remarks(runs: Mapping[str, Any]) -> Iterator[str]:
    """What the figures say, in sentences that follow from them."""
    wins, losses = [], []
    for name in SETS:
        own = _areas(runs, name, FOREST)
        others = {arm: values for arm in BACKBONES if (values := _areas(runs, name, arm))}
        if not own or not others:
            continue
        best = max(others, key=lambda arm: mean(others[arm]))
        gain = 100 * (mean(own) - mean(others[best]))
        sure = len(own) > 1 and abs(gain) > 100 * (stdev(own) + _deviation(others[best]))
        word = "" if sure else ", within the deviations between seeds"
        (wins if gain > 0 else losses).append(f"{name} ({gain:+.1f} to {ARMS[best]}{word})")
    if wins or losses:
        yield f"By scaffold, in ROC-AUC, the forest wins on: {', '.join(wins) or 'no set'}."
        yield f"It loses on: {', '.join(losses) or 'no set'}."
    yield from _remarks_on_shots(runs)
    if any(name.split()[1] == "minimol" for name in runs):
        yield (
            "MiniMol was trained on assays of PubChem. Molecules of these tests, and answers much like those asked "
            "for, may be among them: its figures are no clean test."
        )
    counts = {name: min(len(_areas(runs, name, arm)) for arm in ARMS) for name in SETS}
    for many, words in ((0, "Not measured, or not by every arm"), (1, "One seed so far, from which nothing follows")):
        if few := [name for name, count in counts.items() if count == many]:
            yield f"{words}: {', '.join(few)}."


def _deviation(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def _remarks_on_shots(runs: Mapping[str, Any]) -> Iterator[str]:
    assays = {assay for assay, _ in _assays(runs)}
    for shots in SHOTS:
        places = [f"{assay} {shots}" for assay in sorted(assays)]
        means = {learner: [mean(v) for place in places if (v := _shots(runs, learner, place))] for learner in LEARNED}
        whole = {learner: 100 * mean(values) for learner, values in means.items() if len(values) == len(places) > 0}
        if FOREST not in whole or len(whole) < 2:
            continue
        told = ", ".join(f"{LEARNED[learner]} {value:.1f}" for learner, value in whole.items())
        best = max(whole, key=whole.__getitem__)
        yield f"From {shots} molecules of a new assay, mean over assays: {told}."
        worse = [LEARNED[learner] for learner in LEARNERS if whole.get(learner, 100.0) < whole[FOREST]]
        if best == FOREST:
            yield f"From {shots} molecules the forest is the best of all."
        elif worse:
            yield f"From {shots} molecules meta-training does not pay for: {', '.join(worse)}; the forest is better."


def draw(found: Mapping[str, Any], path: Path = PICTURE) -> None:
    """Molecules of a scaffold that was trained on and of one that was not, and the areas of every arm."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "acclimate"
    runs = found["runs"]
    figure = pyplot.figure(figsize=(13, 5.4), layout="constrained")
    grid = figure.add_gridspec(2, 4)
    for k, (title, molecule) in enumerate(_molecules()):
        axis = figure.add_subplot(grid[k // 2, k % 2])
        axis.imshow(molecule)
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    _bars(figure.add_subplot(grid[0, 2:]), {
        arm: {name: _areas(runs, name, arm) for name in SETS} for arm in ARMS
    }, ARMS, "unseen scaffolds, ROC-AUC")  # fmt: skip
    places = [f"{assay} {shots}" for assay, shots in _assays(runs)]
    _bars(figure.add_subplot(grid[1, 2:]), {
        learner: {place: _shots(runs, learner, place) for place in places} for learner in LEARNED
    }, LEARNED, "new assays and how many molecules, ROC-AUC")  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _bars(axis: Any, values: Mapping[str, Mapping[str, Sequence[float]]], names: Mapping[str, str], title: str) -> None:
    """Groups of bars; what was not measured has none."""
    for k, (arm, by_place) in enumerate(values.items()):
        heights = [100 * mean(each) if each else 0.0 for each in by_place.values()]
        spans = [100 * _deviation(each) for each in by_place.values()]
        places = [j + 0.16 * (k - (len(values) - 1) / 2) for j in range(len(heights))]
        axis.bar(places, heights, 0.15, yerr=spans, label=names[arm], error_kw={"lw": 0.8})
    places = list(next(iter(values.values())))
    axis.axhline(50, color="black", lw=0.8)
    axis.set_xticks(range(len(places)), places, fontsize=8)
    axis.set_ylim(30, 100)
    axis.set_title(title, fontsize=10)
    axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))


def _molecules() -> Iterator[tuple[str, Any]]:
    """Two molecules of BBBP that were trained on and two that were tested, of seed 0, the first with rings."""
    from rdkit import Chem
    from rdkit.Chem import Draw

    import acclimate as ac
    from acclimate.domains.molecules import grouped, known, scaffolds
    from acclimate.domains.split import split

    domain = ac.read(str(FOLDER / "bbbp.csv.gz"), input="smiles", label=SETS["bbbp"], modality="molecule")
    for title, part in zip(("trained on", "tested"), split(grouped(domain, "scaffold"), 0.2, 0), strict=True):
        texts = domain.select(part).rows.take(domain.select(part).order)[:50]
        ringed = [text for text, scaffold in zip(texts, scaffolds(texts), strict=True) if scaffold]
        for text in ringed[:2]:
            molecule = known(text, "largest")
            Chem.rdDepictor.Compute2DCoords(molecule)
            yield title, Draw.MolToImage(molecule, size=(300, 220))
