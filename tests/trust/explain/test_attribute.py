"""Scores of parts, held to what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from acclimate.backbones import registry
from acclimate.backbones.parts import Parts, of_numbers, of_words
from acclimate.domains.read import read
from acclimate.tasks.classify import Classify
from acclimate.tasks.multilabel import Multilabel
from acclimate.tasks.regress import Regress
from acclimate.training.device import Place
from acclimate.training.model import Model
from acclimate.trust.explain.attribute import attribute, integrated_gradients, method_of, occlusion
from acclimate.trust.explain.explain import explain, scorer

CPU = Place(torch.device("cpu"), "fp32")


def numbers(values: list[float], baseline: list[float], smooth: bool = True) -> Parts:
    names = [str(k) for k in range(len(values))]
    row, blank = torch.tensor([values]), torch.tensor([baseline])
    return of_numbers("columns", names, names, row, blank, torch.arange(len(values)), smooth=smooth)


def test_of_a_linear_model_each_part_has_weight_times_way():
    weight = torch.tensor([2.0, -1.0, 0.5])
    parts = numbers([1.0, 2.0, 4.0], [0.0, 1.0, 0.0])

    def score(inputs: torch.Tensor) -> torch.Tensor:
        return inputs @ weight

    expected = [2.0 * (1 - 0), -1.0 * (2 - 1), 0.5 * (4 - 0)]
    assert method_of(score, parts) == "integrated_gradients"
    assert attribute(score, parts) == pytest.approx(expected, abs=1e-5)
    assert occlusion(score, parts) == pytest.approx(expected, abs=1e-5)


def test_integrated_gradients_add_up_to_the_difference():
    """Of x0 * x1 + x2^2 along the diagonal: the product is shared in halves, the square is its own."""
    parts = numbers([2.0, 3.0, 2.0], [0.0, 0.0, 0.0])
    assert parts.smooth is not None

    def score(inputs: torch.Tensor) -> torch.Tensor:
        return inputs[:, 0] * inputs[:, 1] + inputs[:, 2] ** 2

    found, missed = integrated_gradients(score, parts.smooth)
    assert found == pytest.approx([3.0, 3.0, 4.0], abs=1e-4)
    assert missed == pytest.approx(0.0, abs=1e-4)
    assert occlusion(score, parts) == pytest.approx([6.0, 6.0, 4.0], abs=1e-5)  # either factor takes all with it


def test_what_has_no_gradient_is_left_out_instead():
    parts = numbers([2.0, 3.0], [0.0, 0.0])
    assert method_of(lambda inputs: (inputs[:, 0] > 1).float(), parts) == "occlusion"
    assert method_of(lambda inputs: inputs[:, 0], numbers([1.0], [0.0], smooth=False)) == "occlusion"
    assert attribute(lambda inputs: (inputs[:, 0] > 1).float(), parts).tolist() == [1.0, 0.0]


def test_several_numbers_of_one_part_are_added_up():
    owner = torch.tensor([0, 0, 1, -1])
    row, blank = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.zeros(1, 4)
    parts = of_numbers("columns", ["a", "b"], ["a", "b"], row, blank, owner)
    assert attribute(lambda inputs: inputs.sum(1), parts) == pytest.approx([3.0, 3.0], abs=1e-5)
    assert parts.inputs(np.array([[True, False], [False, False]])).tolist() == [[1, 2, 0, 4], [0, 0, 0, 4]]


def test_words_are_found_in_any_script():
    parts = of_words("good film, 好电影", lambda texts: texts)
    assert parts.names == ("good", "film,", "好", "电", "影")
    assert parts.inputs(np.array([[True, False, True, False, False]])) == ["good 好"]
    assert len(of_words("  ", lambda texts: texts)) == 0


def test_scores_of_tasks():
    logits = {"logits": torch.tensor([[1.0, 3.0], [2.0, -1.0]])}
    assert Classify(("a", "b")).score(logits, "b").tolist() == [2.0, -3.0]
    three = Classify(("a", "b", "c")).score({"logits": torch.tensor([[0.0, 1.0, 1.0]])}, "a")
    assert three.item() == pytest.approx(-1 - np.log(2))
    several = Multilabel(("x", "y"))
    assert several.score(logits, "x").tolist() == [1.0, 2.0]
    assert several.score(logits, "[1, 1]").tolist() == [2.0, 0.5]
    assert several.score(logits, "[0, 0]").tolist() == [-2.0, -0.5]
    assert Regress(10.0, 2.0).score({"value": torch.tensor([1.5])}, 13.0).tolist() == [13.0]


@pytest.fixture(scope="module")
def table():
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(5, 2, 40), "b": rng.normal(size=40), "kind": rng.choice(["x", "y"], 40)})
    return read(frame, input=["a", "b", "kind"])


def linear(backbone: object, weight: list[list[float]]) -> Model:
    model = Model(backbone, Classify(("no", "yes")))  # type: ignore[arg-type]
    with torch.no_grad():
        model.head.weight.copy_(torch.tensor(weight))
        model.head.bias.zero_()
    return model


def test_a_column_that_decides_is_found(table):
    backbone = registry.create("columns", "table", {})
    backbone.fit(table)
    assert backbone.encoder.owners == ["a", "b", "kind", "kind", "kind"]
    model = linear(backbone, [[0, 0, 0, 0, 0], [0, 3, 0, 0, 0]])
    found = explain(model, table, ["yes"] * len(table), CPU)
    frame = table.rows.take(np.arange(len(table)))
    way = (frame["b"] - frame["b"].mean()) / frame["b"].std(ddof=0)  # without a column it is at its mean
    assert [each.scores[1] for each in found] == pytest.approx((3 * way).tolist(), abs=1e-4)
    assert all(each.scores[[0, 2]].tolist() == [0, 0] for each in found)
    assert {each.how for each in found} == {"integrated_gradients"}
    assert found[0].parts.names == ("a", "b", "kind")
    assert all(each.whole - each.blank == pytest.approx(each.scores.sum(), abs=1e-4) for each in found)


def test_a_word_that_decides_is_found():
    texts = ["a fine film today", "a poor film", "the film was fine", "a day"]
    domain = read(texts)
    backbone = registry.create("ngrams", "text", {"min_df": 1, "longest": 1})
    backbone.fit(domain)
    terms = list(backbone._vectorizer.get_feature_names_out())
    weight = [[0.0] * len(terms), [float(term == "fine") for term in terms]]
    found = explain(linear(backbone, weight), domain, ["yes"] * 4, CPU)
    best = [each.parts.names[int(np.argmax(each.scores))] for each in found]
    assert (best[0], best[2]) == ("fine", "fine")
    assert {each.how for each in found} == {"occlusion"}
    assert not found[1].scores.any()


def test_a_patch_that_decides_is_found():
    """The network looks at one corner only; where it looks a bright dot, or none."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, size=(3, 16, 16), dtype=np.uint8)
    images[0, 2:4, 12:14] = 255
    domain = read(images, modality="image")
    backbone = registry.create("pixels", "image", {"size": 16, "channels": 1})
    weight = torch.zeros(2, 16, 16)
    weight[1, 2:4, 12:14] = 1.0
    model = linear(backbone, weight.flatten(1).tolist())
    found = explain(model, domain, ["yes"] * 3, CPU)
    assert found[0].parts.names[int(np.argmax(found[0].scores))] == "row 2, column 7"
    assert found[0].parts.places[int(np.argmax(found[0].scores))] == [0.125, 0.75, 0.25, 0.875]
    assert np.count_nonzero(np.abs(found[0].scores) > 1e-6) == 1


def test_gradients_of_a_transformer_reach_words_and_add_up(tiny_text):
    texts = ["good old fine film", "bad", ""]
    domain = read(texts)
    backbone = registry.create(str(tiny_text), "text", {})
    model = Model(backbone, Classify(("no", "yes")), seed=3)
    found = explain(model, domain, ["yes", "yes", "no"], CPU)
    first = found[0]
    assert first.how == "integrated_gradients" and first.parts.names == ("good", "old", "fine", "film")
    assert first.scores.sum() == pytest.approx(first.whole - first.blank, abs=0.02)
    score = scorer(model.eval(), "yes", domain.select(np.array([0])).rows, CPU)
    whole = first.parts.inputs(np.array([[True] * 4]))
    same = [score(inputs).item() for inputs in (whole, backbone.collate(texts[:1]))]
    assert same[0] == pytest.approx(same[1], abs=1e-5)
    assert found[1].curves is None  # one word has one order
    assert len(found[2].scores) == 0 and found[2].whole == pytest.approx(found[2].blank)
    assert not any(parameter.grad is not None for parameter in model.parameters())
    assert all(parameter.requires_grad for parameter in model.head.parameters())
