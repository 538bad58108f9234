"""The forest as a method, and beside the arms of tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import acclimate as ac
from acclimate.errors import SettingsError


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


def crossed(seed, n=240):
    """Which of two numbers is the larger in size: no weighted sum of both tells."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"]).assign(kind=rng.choice(["u", "v"], n))
    return frame.assign(label=np.where(frame.a.abs() > frame.b.abs(), "first", "second"), size=frame.a.abs() * 10)


OPTIONS = {"input": ["a", "b", "kind"], "label": "label", "backbone": "columns", "precision": "fp32"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return ac.adapt(crossed(0), crossed(1), method="coral", out=tmp_path_factory.mktemp("runs") / "run", **OPTIONS)


def test_it_stands_beside_the_arms_of_a_table_and_learns_what_a_line_cannot(run):
    assert [(arm["name"], arm["role"]) for arm in run.result["arms"]] == [
        ("source_only", "reference"), ("coral", "adapted"), ("forest", "beside"),
    ]  # fmt: skip
    found = run.evaluate(crossed(2), label="label")["arms"]
    assert found["source_only"]["metrics"]["accuracy"] < 0.65 < 0.85 < found["forest"]["metrics"]["accuracy"]
    assert any(why.startswith("the plain baseline forest is better on the source's") for why in run.reasons)


def test_it_has_no_say_in_what_is_decided(run, tmp_path):
    alone = ac.adapt(crossed(0), crossed(1), method="coral", plain_baseline=False, out=tmp_path / "run", **OPTIONS)
    assert alone.decision == run.decision
    arms = {arm["name"]: arm["label_free"] for arm in run.result["arms"]}
    assert {arm["name"]: arm["label_free"] for arm in alone.result["arms"]} == {
        name: arms[name] for name in ("source_only", "coral")
    }


def test_a_loaded_one_answers_alike_and_gives_numbers_too(tmp_path):
    options = {**OPTIONS, "label": "size", "task": "regress", "method": {"name": "forest", "trees": 50}}
    run = ac.adapt(crossed(0), crossed(1), out=tmp_path / "run", **options)
    again = ac.adapt(crossed(0).iloc[::-1], crossed(1), out=tmp_path / "again", **options)
    rows = crossed(2)
    answers = [ac.load(each.folder / "arms" / "forest").predict(rows)["prediction"] for each in (run, again)]
    assert answers[0].tolist() == pytest.approx(answers[1].tolist(), rel=1e-12), "the order of rows does not matter"
    assert np.abs(answers[0] - rows["size"]).mean() < 0.4 * rows["size"].std()


@pytest.mark.parametrize(("options", "text"), [
    ({"backbone": "mlp"}, "use --tune frozen"),
    ({"tune": {"kind": "frozen", "bottleneck": 8}}, "leave tune.bottleneck out"),
])  # fmt: skip
def test_what_is_refused(tmp_path, options, text):
    with pytest.raises(SettingsError, match=text):
        ac.adapt(crossed(0), crossed(1), method="forest", out=tmp_path / "run", **{**OPTIONS, **options})


def test_sparse_features_are_refused(tmp_path):
    texts = [f"word{k} is here" for k in range(40)], ["a", "b"] * 20
    with pytest.raises(SettingsError, match="needs dense features, and those of backbone 'ngrams' are sparse"):
        ac.adapt(
            texts, texts[0], modality="text", label="label", backbone="ngrams", method="forest", out=tmp_path / "r"
        )
