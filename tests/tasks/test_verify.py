"""Verification as a task: its losses, who is unknown, batches of triplets, and people who are held out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import acclimate as ac
from acclimate.backbones.passthrough import PassThrough
from acclimate.domains.domain import ArrayRows, Domain, Schema
from acclimate.domains.rows import ListRows
from acclimate.errors import DataError, SettingsError
from acclimate.selection.constant import constant_answer
from acclimate.tasks import registry
from acclimate.tasks.identity import arcface_logits, batch_hard_triplet
from acclimate.tasks.verify import People
from acclimate.training.stream import Stream


def at(*degrees):
    angle = np.deg2rad(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def clips(modality="audio", labels=("ann", "bob", "ann")):
    rows, ids = ListRows(np.arange(len(labels))), np.array([b"%d" % k for k in range(len(labels))])
    return Domain("clips", Schema(modality, label="x"), rows, ids, np.array(labels, dtype=object))


def test_arcface_by_hand():
    cosine = torch.tensor([[math.cos(0.3), math.cos(1.0)], [math.cos(2.0), math.cos(3.0)]])
    logits = arcface_logits(cosine, torch.tensor([0, 1]), margin=0.5, scale=10.0)
    assert logits[0].tolist() == pytest.approx([10 * math.cos(0.8), 10 * math.cos(1.0)], abs=1e-4)
    # 3.0 + 0.5 is beyond pi: a line from there on, still below the cosine without a margin
    assert logits[1].tolist() == pytest.approx(
        [10 * math.cos(2.0), 10 * (math.cos(3.0) - 0.5 * math.sin(0.5))], abs=1e-4
    )
    plain = arcface_logits(cosine, torch.tensor([0, 1]), margin=0.0, scale=1.0)
    assert torch.allclose(plain, cosine, atol=1e-6)


def test_batch_hard_triplets_by_hand():
    """On a line: a at 0 and 3, b at 4 and 4.5, c alone at 10."""
    vectors = torch.tensor([[0.0], [3.0], [4.0], [4.5], [10.0]], requires_grad=True)
    loss = batch_hard_triplet(vectors, torch.tensor([0, 0, 1, 1, 2]), margin=1.0)
    # 0: 1 + 3 - 4; 3: 1 + 3 - 1; 4: 1 + 0.5 - 1; 4.5: 1 + 0.5 - 1.5; c has no other row
    assert loss.tolist() == pytest.approx([0.0, 3.0, 0.5, 0.0, 0.0], abs=1e-5)
    loss.sum().backward()
    assert torch.isfinite(vectors.grad).all()
    assert vectors.grad[0] < 0 and vectors.grad[2] < 0, "downhill 0 goes towards 3, and 4 away from 3"
    same = torch.ones(2, 3, requires_grad=True)
    batch_hard_triplet(same, torch.tensor([0, 0])).sum().backward()
    assert same.grad.abs().sum() == 0, "one person alone teaches nothing, and equal rows have a gradient"


def test_the_task_learns_people_and_is_judged_by_rows_of_others():
    task = registry.create("verify", clips("image"))
    assert registry.restore(task.config()) == task
    features = torch.from_numpy(3 * at(0, 10, 50, 80)).float()
    outputs = {name: value.detach().numpy() for name, value in task.outputs(task.head(2), features).items()}
    answers = task.decode(outputs)
    assert answers.probabilities is None and answers.classes == (), "the target's people are none of these"
    strangers = np.array(["eve", "eve", "joe", "joe"], dtype=object)
    assert task.metrics(answers, strangers)["eer"] == 0.0
    assert task.metrics(answers.of(np.array([0, 2, 3])), strangers[[0, 2, 3]])["eer"] == 0.0
    assert constant_answer(task, answers, strangers) == 0.5, "who always says the same knows nobody"
    assert set(task.curves(answers, strangers)["roc"]) == {"far", "tar", "threshold"}


def test_whoever_is_like_nobody_is_unknown():
    """ann at 0 and 10, bob at 90; held-out rows at 60, 140, 150 and 160 are 30, 50, 60 and 70 from the nearest."""
    task = registry.create("verify", clips("image"))
    head = task.head(2)
    said = {"vector": at(0, 10, 90).astype(np.float32)}
    task.settle(head, said, np.array(["ann", "ann", "bob"]), {"vector": at(60, 140, 150, 160).astype(np.float32)})
    assert np.rad2deg(np.arctan2(*head.centres.numpy()[0][::-1])) == pytest.approx(5)
    nearest = np.cos(np.deg2rad([30, 50, 60, 70]))
    assert head.threshold.item() == pytest.approx(np.quantile(nearest, 0.95), abs=1e-6)
    outputs = task.outputs(head, torch.from_numpy(at(20, 80, 50, 200)).float())
    answers = task.decode({name: value.detach().numpy() for name, value in outputs.items()})
    assert answers.prediction.tolist() == ["ann", "bob", "unknown", "unknown"]
    assert answers.confidence == pytest.approx([np.cos(np.deg2rad(15)), np.cos(np.deg2rad(10)),
                                                np.cos(np.deg2rad(40)), 0.0], abs=1e-6)  # fmt: skip
    task.settle(named := task.head(2), said, np.array(["ann", "ann", "bob"]), None)
    outputs = task.outputs(named, torch.from_numpy(at(200.0)).float())
    assert outputs["known"].item(), "nobody was held out: everybody gets a name"


@pytest.mark.parametrize("loss", ["softmax", "arcface", "triplet"])
def test_every_loss_reaches_the_features(loss):
    task = registry.create("verify", clips("image", ("ann", "bob", "ann", "bob"))).given({"loss": loss})
    torch.manual_seed(0)
    head, features = task.head(3), torch.randn(4, 3, requires_grad=True)
    assert isinstance(head, People)
    task.loss(task.outputs(head, features), task.encode(np.array(["ann", "bob", "ann", "bob"]))).mean().backward()
    assert features.grad.abs().sum() > 0
    assert registry.restore(task.config()) == task


def test_settings():
    task = registry.create("verify", clips("image"))
    assert task.given({"loss": "arcface"}).how.width == 0.5
    with pytest.raises(SettingsError, match="did you mean 'margin'"):
        task.given({"margn": 1})
    with pytest.raises(SettingsError, match=r"margin must lie in \[0, 2\]"):
        task.given({"margin": -1})
    with pytest.raises(SettingsError, match="task 'classify' has no settings, found head"):
        registry.create("classify", clips()).given({"loss": "arcface"})


def test_who_cannot_be_verified():
    with pytest.raises(DataError, match="clips is image; voices are in sounds"):
        registry.create("verify_speaker", clips("image"))
    with pytest.raises(DataError, match=r"all 2 rows are of one person \('ann'\)"):
        registry.create("verify", clips(labels=("ann", "ann")))
    with pytest.raises(DataError, match="each of the 2 people has one row only"):
        registry.create("verify", clips(labels=("ann", "bob")))
    task = registry.create("verify", clips())
    assert task.remarks(clips()) == ("clips: one row only of bob: no two rows of one person",)
    with pytest.raises(DataError, match="lower --validation"):
        task.learned_from(clips(labels=("ann", "ann")))


def vectors(people=6, each=8, seed=0, noise=0.25, nuisance=0):
    """Rows around a point of each person's own, of 8 numbers; that many columns of nuisance hide it."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(people, 8))
    labels = np.repeat(np.arange(people), each)
    rows = own[labels] + noise * rng.normal(size=(len(labels), 8))
    rows = np.concatenate([rows, rng.normal(size=(len(labels), nuisance))], axis=1)
    return rows.astype(np.float32), np.array([f"p{seed}-{k}" for k in labels])


def test_batches_of_triplets_hold_rows_of_one_person_together():
    rows, labels = vectors(people=5, each=6)
    rows, labels = rows[:-5], labels[:-5].astype(object)  # of the last person one row alone
    ids = np.array([b"%d" % k for k in range(len(rows))])
    domain = Domain("rows", Schema("array"), ArrayRows(rows), ids, labels)
    task = registry.create("verify", domain).given({"loss": "triplet", "rows": 3})
    network = PassThrough.__new__(PassThrough)  # the stream asks it for lengths alone
    network.lengths = lambda rows: None
    network.collate = lambda rows, **_: torch.as_tensor(rows)
    stream = Stream("source", domain, network, task, size=6, seed=0, views=("weak",))
    seen = [stream.indices(step) for step in range(2 * stream.batches)]
    for batch in seen:
        for piece in batch.reshape(-1, 3):
            assert len(set(labels[piece])) == 1
    assert len({tuple(batch) for batch in seen}) == len(seen), "every epoch has another order"
    once = {row for batch in seen for row in batch}
    assert len(once) >= 0.8 * len(rows)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The features hide people behind a nuisance: what is frozen is lost, what is taught is not."""
    folder = tmp_path_factory.mktemp("people")
    x, y = vectors(people=60, each=8, nuisance=24)
    np.savez(folder / "known.npz", x=x, y=y)
    new, who = vectors(people=10, each=6, seed=1, nuisance=24)
    np.savez(folder / "new.npz", x=new, y=who)
    return folder


def adapt(runs, name, **options):
    settings = {"backbone": {"name": "mlp", "hidden": [32], "dropout": 0.0}, "method": "source_only",
                "training": {"steps": 300, "learning_rate": 0.01}, "task": "verify", **options}  # fmt: skip
    return ac.adapt(f"{runs}/known.npz?x=x&y=y", f"{runs}/new.npz?x=x", out=runs / name, **settings)


def evaluated(run, runs):
    return run.evaluate(f"{runs}/new.npz?x=x&y=y")


@pytest.mark.parametrize("loss", ["softmax", "arcface", "triplet"])
def test_new_people_are_told_apart_once_the_nuisance_is_unlearned(runs, loss):
    plain = evaluated(adapt(runs, f"frozen-{loss}", backbone="columns", plain_baseline=False), runs)
    assert plain["metrics"]["eer"] > 0.25
    taught = evaluated(adapt(runs, loss, head={"loss": loss}, plain_baseline=False), runs)
    assert taught["metrics"]["eer"] < 0.2
    assert taught["metrics"]["tar_at_far_0.01"] > plain["metrics"]["tar_at_far_0.01"] + 0.1
    assert taught["metrics"]["rank1"] > plain["metrics"]["rank1"] + 0.3
    assert taught["curves"]["roc"]["tar"][-1] == 1.0


def test_people_are_held_out_whole_and_none_who_is_known_is_judged(runs):
    run = adapt(runs, "held", plain_baseline=False, training={"steps": 5})
    known = set(ac.load(run.folder)._model.task.people)
    with np.load(runs / "known.npz") as arrays:
        assert len(known) == pytest.approx(0.8 * len(set(arrays["y"])), abs=1)
        held = set(arrays["y"]) - known
    assert run.result["data"]["split"]["source"] == 8 * len(known), "whole people are held out"
    assert held
    x, y = vectors(people=24, each=8, seed=3, nuisance=24)
    y[:8] = sorted(known)[0]
    np.savez(runs / "mixed.npz", x=x, y=y)
    with pytest.raises(DataError, match="1 of 24 people were trained on"):
        run.evaluate(f"{runs}/mixed.npz?x=x&y=y")
    found = run.evaluate(f"{runs}/mixed.npz?x=x&y=y", force=True)
    assert any("flatters" in note for note in found["notes"])
    np.savez(runs / "single.npz", x=x[::8], y=y[::8])
    with pytest.raises(DataError, match="needs pairs of one person"):
        run.evaluate(f"{runs}/single.npz?x=x&y=y")


def test_names_of_the_target_change_nothing(runs):
    first = adapt(runs, "first", method="dann", plain_baseline=False, training={"steps": 5})
    with np.load(runs / "new.npz") as arrays:
        x, y = arrays["x"], arrays["y"]
    np.savez(runs / "new.npz", x=x, y=y[::-1])
    second = adapt(runs, "second", method="dann", plain_baseline=False, training={"steps": 5})
    np.savez(runs / "new.npz", x=x, y=y)
    for one, other in zip(*(sorted((r.folder / "arms").rglob("*.safetensors")) for r in (first, second)), strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert first.result["decision"] == "keep_source"


def test_a_saved_model_answers_the_same_and_vectors_have_length_one(runs):
    run = adapt(runs, "saved", head={"loss": "arcface"}, plain_baseline=False)
    with np.load(runs / "known.npz") as arrays:
        x, y = arrays["x"], arrays["y"]
    said = [ac.load(run.folder).predict(x)["prediction"].to_numpy() for _ in range(2)]
    assert (said[0] == said[1]).all()
    known = np.isin(y, ac.load(run.folder)._model.task.people)
    assert (said[0] == y)[known].mean() > 0.8, "those who were trained on are named"
    assert (said[0][~known] == "unknown").mean() > 0.8, "those who were held out are not"
    answers = ac.load(run.folder).answers(ac.read(x))
    assert np.linalg.norm(answers.vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_frozen_features_cannot_heed_a_margin(runs):
    with pytest.raises(SettingsError, match="frozen ones without a bottleneck cannot learn"):
        adapt(runs, "no", backbone="columns", head={"loss": "arcface"})
    assert F.normalize(torch.ones(1, 4)).norm().item() == pytest.approx(1)
