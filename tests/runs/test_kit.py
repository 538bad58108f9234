"""What `inspect` lists is what `adapt` accepts: one answer to which methods work."""

from __future__ import annotations

import numpy as np
import pytest

import acclimate as ac
from acclimate.domains.sample import toy_shift
from acclimate.errors import SettingsError
from acclimate.methods.registry import METHODS
from acclimate.runs.arms import plan
from acclimate.runs.inspect import inspect
from acclimate.runs.prepare import prepare
from acclimate.runs.recipe import parse

CONV4 = {"name": "conv4", "size": 32, "width": 8}


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, scenes):
    """Classes, numbers and masks, each as source, target, and what a recipe says."""
    source, target, _ = toy_shift(60)
    values, other = (np.random.default_rng(seed).normal(size=(60, 3)).astype(np.float32) for seed in range(2))
    folder = tmp_path_factory.mktemp("pairs")
    images = [str(scenes(folder / style, 12, style)) for style in ("day", "haze")]
    numbers = ac.read((values, values.sum(axis=1)), label="label")
    return {
        "classes": (source, target, {}),
        "classes, frozen": (source, target, {"backbone": "columns"}),
        "numbers": (numbers, ac.read(other), {"task": "regress", "backbone": "mlp"}),
        "masks": (*images, {"task": "segment", "backbone": CONV4}),
    }


def judged(source, target, recipe):
    """The methods for which `plan` makes arms, and what it says of the others."""
    labelled, unlabelled = (ac.read(d, shapes="masks", label=label) if isinstance(d, str) else d
                            for d, label in ((source, "masks"), (target, None)))  # fmt: skip
    prepared, refused = prepare(parse(recipe), labelled, unlabelled), {}
    for name in METHODS:
        try:
            plan(parse({**recipe, "method": name}), prepared)
        except SettingsError as error:
            refused[name] = str(error)
    return [name for name in METHODS if name not in refused], refused


@pytest.mark.parametrize("kind", ["classes", "classes, frozen", "numbers", "masks"])
def test_the_list_is_what_would_be_accepted(pairs, kind):
    source, target, recipe = pairs[kind]
    places = {"source": source, "target": target} if kind == "masks" else {}
    given = {} if kind == "masks" else {"source": [source], "target": [target]}
    found = inspect(parse({**recipe, **places}), **given)
    works, refused = judged(source, target, recipe)
    assert found["methods"] == works
    assert "ot_mapping" in works or "use --tune frozen" in refused["ot_mapping"]
    for why in refused.values():
        assert why.endswith(f". Methods that would work: {', '.join(works)}"), why


def test_masks_are_advised_as_such(pairs):
    source, target, recipe = pairs["masks"]
    found = inspect(parse({**recipe, "source": source, "target": target}))
    assert {"fda", "self_training", "tent"} <= set(found["methods"])
    assert not {"combat", "site_standardize", "mlls"} & set(found["methods"])
    assert found["with_target_labels"] == ["target_only", "finetune", "joint"]
