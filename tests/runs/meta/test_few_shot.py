"""A meta-trained model answers new classes from a handful of rows, by its own learner."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import acclimate as ac
from acclimate.domains.batch import Batch
from acclimate.errors import SettingsError
from acclimate.runs.meta.learned import Learned

COLUMNS = [f"x{k}" for k in range(6)]


@pytest.fixture
def few(classes):
    """Three new classes: four labelled rows and twelve queries of each."""
    domain = ac.read(str(classes(100)), input=COLUMNS, label="label")
    names = sorted(set(domain.labels))[:3]
    rows = [np.flatnonzero(domain.labels == name) for name in names]
    support = domain.select(np.concatenate([own[:4] for own in rows]))
    query = domain.select(np.concatenate([own[4:16] for own in rows]))
    return support, query


CASES = {
    "protonet": {},
    "pmf": {},
    "maml": {},
    "frozen maml": {"backbone": {"name": "columns"}},
    "frozen protonet": {"backbone": {"name": "columns"}},
}


@pytest.mark.parametrize("case", CASES)
def test_its_own_learner_answers(meta, few, case):
    run = meta(case.split()[-1], training={"steps": 40, "learning_rate": 0.01}, **CASES[case])
    support, query = few
    clf = ac.FewShot(run, precision="fp32", device="cpu").fit(support)
    assert clf.report_["level"]["method"] == case.split()[-1]
    assert clf.report_["held_out"]["rows"] == 12
    said = clf.predict_proba(query)

    taught = Learned.load(run.folder)
    order = support.order  # the classifier's own order of the support
    rows = support.select(order)
    names = sorted(set(support.labels))
    targets = torch.tensor([[names.index(name) for name in rows.labels]])
    known, asked = (taught.model.backbone.collate(d.rows.take(np.arange(len(d))))[None] for d in (rows, query))
    logits = taught.answers(Batch(known, targets), asked)[0]
    expected = (logits / clf.report_["temperature"]).softmax(1).numpy()
    np.testing.assert_allclose(said, expected, atol=1e-5)
    if "protonet" in case:
        assert (clf.predict(query) == query.labels).mean() > 0.8


def test_other_levels_read_its_features(meta, few):
    run = meta(training={"steps": 40, "learning_rate": 0.01})
    support, query = few
    clf = ac.FewShot(run, level="prototypes", precision="fp32").fit(support)
    assert clf.report_["level"]["name"] == "prototypes"
    plain = ac.FewShot("columns", level="prototypes").fit(support)
    right = [(one.predict(query) == query.labels).mean() for one in (clf, plain)]
    assert right[0] > right[1]


def test_what_cannot_be_is_told(meta, few, classes, tmp_path):
    run = meta("maml", training={"steps": 2})
    domain = ac.read(str(classes(100)), input=COLUMNS, label="label")
    with pytest.raises(SettingsError, match=r"a head of 3 ways, and the support has 24 classes; .* --ways 24"):
        ac.FewShot(run).fit(domain)
    with pytest.raises(SettingsError, match="name it as the backbone"):
        ac.FewShot("columns", level="learned").fit(few[0])
    with pytest.raises(SettingsError, match="answers from its own folder"):
        ac.FewShot(run).fit(few[0]).save(tmp_path / "saved")
