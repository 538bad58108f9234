"""What tells domains apart: planted columns and words."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from acclimate.backbones import cache, registry
from acclimate.domains.domain import join
from acclimate.domains.read import read
from acclimate.training.device import Place
from acclimate.trust.explain.apart import domain_classifier, telling
from acclimate.trust.explain.explain import explain

CPU = Place(torch.device("cpu"), "fp32")
COUNT = 12


def told(backbone, source, target):
    features = [cache.embed(backbone, side)[backbone.spec.default][:] for side in (source, target)]
    model = domain_classifier(backbone, backbone.spec.default, features[0], features[1])
    rows = join([side.select(np.arange(COUNT)) for side in (source, target)])
    found = explain(model, rows, ["target"] * (2 * COUNT), CPU, judged=2)
    assert [each.curves is not None for each in found] == [True] * 2 + [False] * (2 * COUNT - 2)
    return model, found, telling(found, np.repeat([False, True], COUNT))


def test_a_column_that_moved_is_found(own_cache):
    import pandas as pd

    rng = np.random.default_rng(0)
    source, target = (
        read(pd.DataFrame({"still": rng.normal(size=80), "moved": rng.normal(shift, 1, 80)}), input=["still", "moved"])
        for shift in (0.0, 3.0)
    )
    backbone = registry.create("columns", "table", {})
    backbone.fit(source)
    model, found, parts = told(backbone, source, target)
    assert parts[0]["name"] == "moved" and parts[0]["low"] > 0
    assert parts[1]["low"] < 0.1 * parts[0]["apart"]
    assert parts[0]["apart"] == pytest.approx(parts[0]["target"] - parts[0]["source"], abs=1e-5)
    scores = np.array([each.whole for each in found])  # parts add up to what the classifier says
    assert sum(part["apart"] for part in parts) == pytest.approx(
        scores[COUNT:].mean() - scores[:COUNT].mean(), abs=1e-3
    )
    assert (scores[COUNT:] > 0).mean() > 0.8 and (scores[:COUNT] < 0).mean() > 0.8
    assert model.head.weight[0].tolist() == (-model.head.weight[1]).tolist()


def test_a_word_of_one_domain_is_found_on_sparse_features(own_cache):
    rng = np.random.default_rng(0)
    words = [f"w{k}" for k in range(12)]

    def texts(own: str) -> list[str]:
        return [" ".join([*rng.choice(words, 5), own, str(k)]) for k in range(60)]

    source, target = read(texts("phone")), read(texts("Film"))
    backbone = registry.create("ngrams", "text", {"longest": 1})
    backbone.fit(join([source, target]))
    _, _, parts = told(backbone, source, target)
    assert {part["name"] for part in parts[:2]} == {"film", "phone"}
    assert parts[0]["rows"] == COUNT
    by_name = {part["name"]: part for part in parts}
    assert by_name["film"]["target"] > 0 and by_name["film"]["source"] == 0
    assert by_name["phone"]["source"] < 0 and by_name["phone"]["target"] == 0
