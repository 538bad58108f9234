"""Batches as a function of seed and step."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import acclimate as ac
from acclimate.backbones import registry
from acclimate.backbones.cache import Gathered, as_domain
from acclimate.backbones.passthrough import PassThrough, csr_tensor
from acclimate.domains.batch import Batch
from acclimate.tasks.classify import Classify
from acclimate.training import stream as stream_module
from acclimate.training.stream import Stream, cut, move


class Features(PassThrough):
    """Stands for a frozen backbone of five features."""

    def __init__(self):
        super().__init__(registry.create("mlp", "array", {"hidden": [5]}))


TASK = Classify(("no", "yes"))


@pytest.fixture
def stream(domain):
    def make(data=None, name="source", size=8, seed=0, views=()):
        backbone = registry.create("mlp", "array")
        data = domain(42) if data is None else data
        backbone.fit(data)
        return Stream(name, data, backbone, TASK, size=size, seed=seed, views=views)

    return make


def test_an_epoch_takes_each_row_once_and_leaves_the_incomplete_batch_out(stream):
    source = stream()
    assert source.batches == 5
    for epoch in range(3):
        rows = np.concatenate([source.indices(5 * epoch + k) for k in range(5)])
        assert len(set(rows)) == 40


def test_epochs_streams_and_seeds_have_orders_of_their_own(stream):
    orders = [
        tuple(np.concatenate([s.indices(start + k) for k in range(5)]))
        for s, start in ((stream(), 0), (stream(), 5), (stream(name="target"), 0), (stream(seed=1), 0))
    ]
    assert len(set(orders)) == 4


def test_a_batch_depends_on_its_step_alone(stream):
    walked, jumped = stream(), stream()
    walk = [walked.batch(step) for step in range(23)]
    for step in (22, 3, 17, 0, 9):
        batch = jumped.batch(step)
        assert torch.equal(batch.inputs, walk[step].inputs)
        assert torch.equal(batch.targets, walk[step].targets)


def test_the_order_of_the_rows_does_not_matter(stream, domain):
    data = domain(42)
    turned = data.select(np.random.default_rng(3).permutation(42))
    for step in (0, 4, 7):
        a, b = stream(data).batch(step), stream(turned).batch(step)
        assert torch.equal(a.inputs, b.inputs)
        assert torch.equal(a.targets, b.targets)


def test_targets_belong_to_their_rows(stream, domain):
    data = domain(42)
    source = stream(data)
    batch = source.batch(2)
    index = source.indices(2)
    assert [TASK.classes[k] for k in batch.targets] == list(data.labels[index])
    assert (batch.domain, len(batch)) == ("source", 8)
    assert stream(data.sealed()).batch(2).targets is None


def test_a_small_domain_is_repeated_to_fill_a_batch(stream, domain):
    rows = stream(domain(5)).indices(0)
    assert len(rows) == 8
    assert set(rows) == set(range(5))


def test_processes_share_a_batch(stream):
    whole = stream().batch(1)
    parts = [stream().batch(1, slice(rank, None, 3)) for rank in range(3)]
    assert [len(part) for part in parts] == [3, 3, 2]
    for rank, part in enumerate(parts):
        assert torch.equal(part.inputs, whole.inputs[rank::3])
        assert torch.equal(part.targets, whole.targets[rank::3])


def test_texts_of_like_length_share_batches_and_each_is_read_once(tiny_text):
    rng = np.random.default_rng(0)
    texts = [
        " ".join(f"w{int(i)}" for i in rng.integers(0, 40, n)) + f" {k}" for k, n in enumerate(np.arange(200) // 4 + 1)
    ]
    data = ac.read((texts, ["no", "yes"] * 100), label="label", modality="text")
    source = Stream("source", data, registry.create(str(tiny_text), "text"), TASK, size=10, seed=0)
    batches = [source.indices(k) for k in range(source.batches)]
    assert sorted(np.concatenate(batches)) == list(range(200))
    lengths = np.array([len(text) for text in texts])
    spread = np.mean([np.ptp(lengths[batch]) for batch in batches])
    assert spread < 0.1 * np.ptp(lengths)
    order = [lengths[batch].mean() for batch in batches]
    assert order != sorted(order)  # short batches do not all come first


def test_two_strong_views_are_drawn_apart(stream):
    batch = stream(size=32, views=("strong", "second")).batch(0)
    strong, second = batch.views["strong"].inputs, batch.views["second"].inputs
    for view in (strong, second):
        assert 0.05 < (view != batch.inputs).float().mean() < 0.3  # a fifth of the values is replaced
    assert not torch.equal(strong, second)
    again = stream(size=32, views=("second",)).batch(0)
    assert torch.equal(again.views["second"].inputs, second)


def test_features_held_in_memory_are_those_on_disk(domain, monkeypatch, tmp_path):
    data = domain(42)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32))
    stored = Gathered(np.load(tmp_path / "x.npy", mmap_mode="r"), np.arange(42) % 30)
    features = as_domain(data, stored)

    def make(views=()):
        return Stream("source", features, Features(), TASK, size=8, seed=0, views=views)

    held = make()
    monkeypatch.setattr(stream_module, "HELD", 42 * 5 * 4 - 1)
    read = make()
    assert held.held is not None and read.held is None and make(("weak",)).held is None
    for step in (0, 3, 7):
        one, two = held.batch(step, slice(1, None, 2)), read.batch(step, slice(1, None, 2))
        assert torch.equal(one.inputs, two.inputs) and torch.equal(one.targets, two.targets)
        assert torch.equal(one.inputs, torch.from_numpy(stored[held.indices(step)[1::2]]))


@pytest.mark.parametrize("at_once", [65_536, 5])
def test_columns_are_made_into_numbers_once(monkeypatch, at_once):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.normal(size=42), "town": rng.choice(["Rome", "Oslo", None], 42), "label": "a"})
    frame.loc[::5, "age"] = np.nan
    data = ac.read(frame, input=["age", "town"], label="label")
    backbone = registry.create("mlp", "table")
    backbone.fit(data)
    monkeypatch.setattr(stream_module, "AT_ONCE", at_once)

    def make():
        return Stream("source", data, backbone, Classify(("a", "b")), size=8, seed=0)

    held = make()
    monkeypatch.setattr(stream_module, "HELD", 42 * backbone.spec.layers["columns"] * 4 - 1)
    read = make()
    assert held.held is not None and read.held is None
    for step in (0, 3, 7):
        one, two = held.batch(step, slice(1, None, 2)), read.batch(step, slice(1, None, 2))
        assert torch.equal(one.inputs, two.inputs)
        assert torch.equal(one.inputs, backbone.collate(data.rows.take(held.indices(step)[1::2])))


def test_pieces_hold_every_row_once():
    values = torch.arange(14.0).reshape(7, 2)
    batch = Batch({"a": values, "b": values[:, 0]}, torch.arange(7), "source", torch.ones(7))
    pieces = cut(batch, 3)
    assert [len(piece) for piece in pieces] == [2, 2, 3]
    assert torch.equal(torch.cat([piece.inputs["a"] for piece in pieces]), values)
    assert torch.equal(torch.cat([piece.targets for piece in pieces]), batch.targets)
    assert {piece.domain for piece in pieces} == {"source"}
    assert len(cut(batch, 100)) == 7
    assert cut(batch, 1) == [batch]


def test_sparse_rows_are_cut_too():
    from scipy import sparse

    values = sparse.random(7, 5, 0.5, format="csr", random_state=0, dtype=np.float32)
    pieces = cut(Batch(csr_tensor(values)), 2)
    assert np.array_equal(np.concatenate([piece.inputs.to_dense().numpy() for piece in pieces]), values.toarray())


def test_views_move_with_their_batch():
    inner = Batch(torch.ones(2, 1), torch.zeros(2))
    moved = move(Batch({"x": torch.ones(2, 1)}, views={"weak": inner}), torch.device("meta"))
    assert moved.inputs["x"].device.type == "meta"
    assert moved.views["weak"].inputs.device.type == moved.views["weak"].targets.device.type == "meta"
