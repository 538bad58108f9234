"""kNN-MT: probabilities by hand, a terminology that is only in the memory, bits at weight 0, and what is saved."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import acclimate as ac
from acclimate.backbones.datastore import Datastore, shares
from acclimate.backbones.registry import create
from acclimate.errors import SettingsError
from acclimate.methods import KNNMT
from acclimate.tasks.translate import Translate
from acclimate.training.model import Model

OPTIONS = {"task": "translate", "input": "en", "label": "fr", "device": "cpu", "precision": "fp32"}
TRAINING = {"epochs": 20, "learning_rate": 5e-3, "batch_size": 32}


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


def sentences(place, n, seed, other=False):
    """Words that are translated one by one; where terms are ``other``, a0 to a4 have other words than in the source."""
    rng, lines = np.random.default_rng(seed), []
    for _ in range(n):
        words = rng.integers(0, 14, rng.integers(4, 8))
        said = [f"b{k + 15 if other and k < 5 else k}" for k in words]
        lines.append(json.dumps({"en": " ".join(f"a{k}" for k in words), "fr": " ".join(said)}))
    place.write_text("\n".join(lines))
    return place


@pytest.fixture(scope="module")
def run(tiny_seq2seq, tmp_path_factory):
    """A run with chosen weight, and its folder's files."""
    folder = tmp_path_factory.mktemp("knn")
    source = sentences(folder / "source.jsonl", 400, 0)
    target = sentences(folder / "target.jsonl", 120, 1, other=True)
    sentences(folder / "fresh.jsonl", 60, 2, other=True)
    options = {**OPTIONS, "backbone": str(tiny_seq2seq), "training": TRAINING}
    return ac.adapt(source, target, out=folder / "run", target_label="fr", method="knn_mt", **options)


def small(**settings):
    keys = torch.tensor([[0.0, 0], [3, 4], [6, 8]])
    return Datastore(keys, torch.tensor([2, 0, 2]), **settings)


def test_the_mixture_is_that_of_the_paper():
    """Distances 0 and 25 of the two nearest; tokens 2 and 0."""
    store = small(neighbours=2, weight=0.25, temperature=25.0)
    far = np.exp(-1) / (1 + np.exp(-1))
    said = store.mixed(torch.zeros(1, 2), torch.tensor([[0.0, np.log(2), 0.0]]))
    expected = [0.75 / 4 + 0.25 * far, 0.75 / 2, 0.75 / 4 + 0.25 * (1 - far)]
    assert said.exp()[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_neighbours_with_one_token_add_up_and_few_keys_are_enough():
    store = small(neighbours=8, weight=1.0, temperature=10.0)
    said = store.mixed(torch.zeros(1, 2), torch.zeros(1, 4)).exp()[0]
    parts = shares(torch.tensor([[0.0, 25, 100]]), 10.0)[0]
    assert said.tolist() == pytest.approx([float(parts[1]), 0, float(parts[0] + parts[2]), 0], abs=1e-6)


def test_tokens_that_may_not_come_next_stay_so():
    said = small(weight=0.5).mixed(torch.zeros(1, 2), torch.tensor([[0.0, 1.0, -torch.inf]]))
    assert said[0, 2] == -torch.inf and said[0, 0].isfinite()


def test_states_are_those_of_the_network(tiny_seq2seq):
    model = Model(create(str(tiny_seq2seq), "text"), Translate()).eval()
    inputs = model.backbone.collate(["a1 a2 a3", "a4"])
    read = model.features(inputs)
    states, logits, ids = model.head.states(read.values, read.mask, ["b1 b2", "b4"])
    assert ids.tolist() == [24, 25, 1, 27, 1]
    network = model.backbone.network
    said = network(**model.backbone.collate(["a4"]), labels=torch.tensor([[27, 1]]), output_hidden_states=True)
    torch.testing.assert_close(states[3:], said.decoder_hidden_states[-1][0])
    torch.testing.assert_close(logits[3:], said.logits[0])


def test_terms_that_only_the_memory_has_are_written(run):
    found = run.evaluate(run.folder.parent / "fresh.jsonl", label="fr")
    memory, without = (found["arms"][name]["metrics"]["chrf"] for name in ("knn_mt", "source_only"))
    assert memory > 0.8 > 0.65 > without
    (arm,) = [arm for arm in run.result["arms"] if arm["name"] == "knn_mt"]
    said = arm["stages"][-1]
    assert said["weight"] > 0.3 and said["tokens"] > 120 * 0.8 * 5


def test_the_network_itself_did_not_change(run):
    one, other = (load_file(run.folder / "arms" / name / "model" / "weights.safetensors") for name in
                  ("source_only", "knn_mt"))  # fmt: skip
    assert set(other) - set(one) == {f"head.datastore.{name}" for name in ("keys", "tokens", "numbers")}
    assert all(torch.equal(other[name], value) for name, value in one.items())


def test_saved_it_writes_the_same_and_a_later_run_starts_without(run, tmp_path):
    fresh = run.folder.parent / "fresh.jsonl"
    memory = ac.load(run.folder / "arms" / "knn_mt" / "model")
    assert memory.predict(fresh)["prediction"].tolist() == memory.predict(fresh)["prediction"].tolist()
    plain = ac.load(run.folder / "arms" / "source_only" / "model").predict(fresh)["prediction"].tolist()
    assert memory.predict(fresh)["prediction"].tolist() != plain
    source = run.folder.parent / "source.jsonl"
    options = {**OPTIONS, "method": "source_only", "tune": "frozen", "training": TRAINING}
    later = ac.adapt(source, out=tmp_path / "later", backbone=str(run.folder / "arms" / "knn_mt" / "model"), **options)
    assert later.predict(fresh)["prediction"].tolist() == plain


@pytest.mark.parametrize("beams", [1, 2])
def test_at_weight_0_every_bit_is_the_sources(run, tmp_path, beams):
    folder, fresh = run.folder.parent, run.folder.parent / "fresh.jsonl"
    backbone = {"name": str(run.folder / "arms" / "source_only" / "model"), "beams": beams}
    method = {"name": "knn_mt", "weight": 0.0}
    found = ac.adapt(
        folder / "source.jsonl", folder / "target.jsonl", out=tmp_path / "run", target_label="fr", method=method,
        backbone=backbone, tune="frozen", **OPTIONS,
    )  # fmt: skip
    one, other = (ac.load(found.folder / "arms" / name / "model").predict(fresh) for name in ("source_only", "knn_mt"))
    assert one["prediction"].tolist() == other["prediction"].tolist()
    assert one["confidence"].tolist() == other["confidence"].tolist()


def test_beams_are_mixed_as_well(run, tmp_path):
    folder = run.folder.parent
    found = ac.adapt(
        folder / "source.jsonl", folder / "target.jsonl", out=tmp_path / "run", target_label="fr", method="knn_mt",
        backbone={"name": str(run.folder / "arms" / "source_only" / "model"), "beams": 3}, tune="frozen", **OPTIONS,
    )  # fmt: skip
    scores = found.evaluate(folder / "fresh.jsonl", label="fr")["arms"]
    assert scores["knn_mt"]["metrics"]["chrf"] > 0.8 > 0.65 > scores["source_only"]["metrics"]["chrf"]


def test_held_out_rows_choose_what_makes_them_likely():
    """A memory of wrong tokens gets no weight; one of right tokens, where the network is unsure, the most."""
    keys, ids = torch.eye(4), torch.tensor([0, 1, 2, 3])
    sure, unsure = 9 * torch.eye(4), torch.zeros(4, 4)
    wrong, right = Datastore(keys, ids.roll(1), neighbours=1), Datastore(keys, ids, neighbours=1)
    method = KNNMT(neighbours=1)
    assert method._chosen(wrong, iter([(keys, sure, ids)]))[0] == 0.0
    assert method._chosen(right, iter([(keys, unsure, ids)]))[0] == 0.8
    assert KNNMT(weight=0.3)._chosen(right, iter([(keys, unsure, ids)]))[0] == 0.3, "as it was said"
    near = Datastore(torch.tensor([[0.0], [1.0]]), torch.tensor([1, 0]), neighbours=2)
    told = (torch.zeros(1, 1), torch.zeros(1, 2), torch.tensor([1]))
    assert KNNMT(neighbours=2)._chosen(near, iter([told]))[1] == 1.0, "the nearest alone is right"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": {"name": "knn_mt", "weight": 1.5}}, r"weight must lie in \[0, 1\]"),
        ({"method": "knn_mt", "target_label": None}, "needs target labels"),
        ({"method": "knn_mt", "task": "classify", "backbone": "ngrams"}, "task 'classify' writes nothing here"),
    ],
)
def test_what_cannot_be_is_refused(tiny_seq2seq, tmp_path, change, message):
    source = sentences(tmp_path / "source.jsonl", 40, 0)
    options = {**OPTIONS, "backbone": str(tiny_seq2seq), "target_label": "fr", **change}
    with pytest.raises(SettingsError, match=message):
        ac.adapt(source, source, out=tmp_path / "run", **options)
