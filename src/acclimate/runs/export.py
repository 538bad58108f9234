"""``acclimate export``: a run's model in a folder of its own, if asked without classes that only the source had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.backbones.base import Backbone
from acclimate.domains.domain import Domain
from acclimate.errors import AcclimateError, SettingsError
from acclimate.files import path_name, read_json, writing
from acclimate.runs import result, store
from acclimate.runs.arms import Arm, fitted_backbone, plan
from acclimate.runs.evidence import arrays_of
from acclimate.runs.predictor import Predictor
from acclimate.runs.prepare import Prepared
from acclimate.runs.recipe import Recipe, parse, read
from acclimate.runs.reread import reread
from acclimate.training.device import place
from acclimate.training.infer import features, infer
from acclimate.training.model import Model
from acclimate.trust.forget.head import forget
from acclimate.trust.forget.residue import named, sample, told

CARD = "README.md"
FORGOTTEN = "forgotten_classes"
"""Under `origin` of the exported model: how many, and not which."""
NOTICED = 0.05
"""Share of answers on the target from which it is remarked that the target may have a class."""


def export(
    folder: Path,
    out: Path,
    *,
    forget_classes: Sequence[str] = (),
    only_target: bool = False,
    backbone: Backbone | None = None,
    source: Sequence[Any] | None = None,
    target: Sequence[Any] | None = None,
    backbones: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the deployed model of a run into a folder that needs nothing of the run (docs/privacy.md).

    With classes to forget, the model has no weights, offsets and names of these, and nothing of certainty, which keeps
    features of training rows. What of them is left is looked for: names in all files, and rows in the features.

    Args:
        folder: of a finished run.
        out: a folder that is absent or empty.
        forget_classes: classes that only the source had.
        only_target: forget all classes that the target is known to lack, by permitted labels or stated shares.
        backbone: the network, of a model around one from Python.
        source: objects in the place of the recipe's source locators, by whose rows features are examined.
        target: the same of the target.
        backbones: networks from Python, as in `execute.adapt`.

    Returns:
        What `acclimate export --json` prints.

    Raises:
        SettingsError: no classes, unknown ones, one that the target has too, fewer than two left; a full folder.
    """
    value = result.load(folder)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"{out} is there already; name a folder that is absent or empty")
    found: dict[str, Any] = {"output": str(out), "model": value["model"], "decision": value["decision"], "notes": []}
    if value["decision"] == "do_not_deploy":
        found["notes"].append("the decision of the run is not to deploy this model")
    if not forget_classes and not only_target:
        store.copy(folder / "model", out)
        return {**found, "classes": None, "forgotten": [], "named": {}, "residue": {}}
    recipe = parse(read(folder / "recipe.yaml"), str(folder / "recipe.yaml"))
    model, card = store.load(folder / "model", backbone)
    known = _of_target(value, recipe)
    names = _names(model, known, forget_classes, only_target)
    found["notes"] += _doubts(folder, value, names, known)
    before = card.origin
    offsets = forget(model, names, card.offsets)
    origin = {**before, FORGOTTEN: len(names), "decision": value["decision"]}
    card = replace(card, offsets=offsets, origin=origin)
    store.save(model, card, out)
    found |= {"classes": list(model.task.possible), "forgotten": sorted(names)}
    try:
        found["residue"] = _residue(
            folder, value, Predictor(model, card), names, source=source, target=target, backbones=backbones
        )
    except AcclimateError as error:
        found["residue"] = {}
        found["notes"].append(f"what features still tell of the forgotten classes was not measured: {error}")
    _write_card(out, value, model, len(names), found["residue"])
    found["named"] = named(out, names)
    return found


def words(found: Mapping[str, Any]) -> list[str]:
    """What is left of the forgotten classes, in sentences; what is not known is said too."""
    said = []
    for name in found["forgotten"]:
        files = found["named"].get(name)
        said.append(
            f"'{name}': its name stands in no file"
            if not files
            else f"'{name}': its name still stands in {', '.join(files)}; look whether that matters"
        )
        left = found["residue"].get(name)
        said.append(f"'{name}': {'its rows were not looked for in the features' if left is None else _told(left)}")
    return said


def _told(left: Mapping[str, Any]) -> str:
    low, high = left["interval"]
    here = f"AUC {left['auc']:.3f} ({low:.3f} to {high:.3f})"
    if left["floor"] is None:
        return (
            f"features are those of the network as it came, whose weights never learned of the class; a linear probe "
            f"tells its rows from others with {here}"
        )
    floor = left["floor"]
    there = f"{floor['auc']:.3f} ({floor['interval'][0]:.3f} to {floor['interval'][1]:.3f})"
    if low > floor["interval"][1]:
        end = "the network has learned more of the class than it knew before, and this was not removed"
    elif high < floor["interval"][0]:
        end = "less than the network knew before"
    else:
        end = "no more than the network knew before, as far as these rows tell"
    return f"a linear probe still tells its rows from others with {here}, before training {there}: {end}"


def _of_target(value: Mapping[str, Any], recipe: Recipe) -> set[str] | None:
    """The classes that the target is known to have; None where nobody said."""
    if recipe.target_shares is not None:
        return {name for name, share in recipe.target_shares.items() if share > 0}
    if value["permission"] and (classes := value["data"].get("target", {}).get("classes")):
        return set(classes)
    return None


def _names(model: Model, known: set[str] | None, asked: Sequence[str], only_target: bool) -> set[str]:
    """The classes to forget.

    Raises:
        SettingsError: they cannot be told, or the target has one.
    """
    classes, names = model.task.possible, set(asked)
    if only_target:
        model.task.without(())
        if known is None:
            raise SettingsError(
                "export: which classes the target has is not known, for its labels are sealed and no --target-shares "
                f"were stated; name those to forget: --forget-source-classes CLASS,... of {_listed(classes)}"
            )
        names |= set(classes) - known
        if not names:
            raise SettingsError(f"export: the target has every class of the model ({_listed(classes)}); none to forget")
    if known is not None and (shared := sorted(names & known)):
        raise SettingsError(
            f"export: the target has class '{shared[0]}' too, so that the model is asked for it; only classes that the "
            "source alone has can be forgotten"
        )
    model.task.without(names)
    return names


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _doubts(folder: Path, value: Mapping[str, Any], names: set[str], known: set[str] | None) -> list[str]:
    """A remark on each class that is forgotten although the model answers it on the target."""
    if known is not None:
        return []
    arrays = arrays_of(folder / "arms" / path_name(value["model"]))
    if "target_probabilities" not in arrays:
        return []
    classes = _record(folder, value)["task"]["classes"]
    answers = arrays["target_probabilities"].argmax(axis=1)
    shares = {name: float((answers == k).mean()) for k, name in enumerate(classes) if name in names}
    return [
        f"the model answers '{name}' for {100 * share:.0f} % of the target's rows: the target may have it, and each "
        "such row is answered otherwise now"
        for name, share in shares.items()
        if share >= NOTICED
    ]


def _record(folder: Path, value: Mapping[str, Any]) -> dict[str, Any]:
    return read_json(folder / "arms" / path_name(value["model"]) / "arm.json")


def _residue(
    folder: Path,
    value: Mapping[str, Any],
    model: Predictor,
    names: set[str],
    *,
    source: Sequence[Any] | None,
    target: Sequence[Any] | None,
    backbones: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """How well rows of each forgotten class are told by the exported features, and by those before training."""
    recipe, prepared, _ = reread(folder, "run.export", source=source, target=target)
    data = prepared.data
    if data.source is None:
        raise SettingsError("the run had no source")
    if model.sparse:
        raise SettingsError("features are sparse counts of the input, in which nothing was learned")
    arm = next(arm for arm in plan(recipe, prepared, backbones) if arm.name == value["model"])
    found = {}
    for name in sorted(names):
        rows = _rows(data.source_validation, name, recipe.seed) or _rows(data.source, name, recipe.seed)
        if rows is None:
            continue
        assert rows.labels is not None
        there = rows.labels == name
        floor = None
        if arm.tune.kind != "frozen" or arm.tune.bottleneck:
            layer = _record(folder, value)["layer"]
            floor = told(_before(arm, recipe, prepared, rows, layer, backbones), there, recipe.seed)
        found[name] = {**told(model.features(rows), there, recipe.seed), "rows": int(there.sum()), "floor": floor}
    return found


def _rows(domain: Domain | None, name: str, seed: int) -> Domain | None:
    if domain is None or domain.labels is None:
        return None
    drawn = sample(np.asarray(domain.labels), name, seed)
    return None if drawn is None else domain.select(drawn)


def _before(
    arm: Arm, recipe: Recipe, prepared: Prepared, rows: Domain, layer: str, backbones: Mapping[str, Any] | None
) -> np.ndarray:
    """Features of the network as it was before it learned."""
    network = fitted_backbone(arm, prepared, recipe.seed, backbones)
    fresh = Model(network, prepared.data.task, layer=layer, seed=recipe.seed)
    return infer(fresh, rows, place(recipe.device, recipe.precision), want=features)["features"]


def _write_card(out: Path, value: Mapping[str, Any], model: Model, count: int, residue: Mapping[str, Any]) -> None:
    """A card without a name of what was forgotten."""
    row = next(each for each in value["arms"] if each["name"] == value["model"])
    classes = ", ".join(f"`{name}`" for name in model.task.possible)
    areas = [f"{left['auc']:.2f}" for left in residue.values()]
    told_by = f" A linear probe on its features still tells their rows from others (AUC {', '.join(areas)})."
    left = told_by if areas else ""
    taken = "1 class of its source was" if count == 1 else f"{count} classes of its source were"
    text = f"""---
library_name: acclimate
tags:
- acclimate
---

# {row["method"]} on {row["backbone"]}

Answers with one of {classes}.

{taken} taken out: weights of the last layer, calibration and names. What
the network below has learned of them was not.{left}

```python
import acclimate as ac

model = ac.load(".")  # this folder
answers = model.predict(rows)
```
"""
    with writing(out / CARD) as part:
        part.write_text(text, encoding="utf-8")
