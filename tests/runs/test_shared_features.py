"""Arms of one frozen backbone share what was read of it."""

from __future__ import annotations

import pytest

import acclimate as ac
from acclimate.backbones import cache

QUICK = {"steps": 3, "batch_size": 8}


@pytest.fixture
def texts(tmp_path, reviews, write_csv, tiny_text, monkeypatch):
    """Options of a run on a tiny frozen text backbone, with no cache on disk."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(write_csv(tmp_path / "file", "no folder", [])))
    source = write_csv(tmp_path / "source.csv", "text,label", reviews())
    target = write_csv(tmp_path / "target.csv", "text,label", reviews(topic="film", seed=1))
    return {
        "source": str(source), "target": str(target), "input": ["text"], "label": "label", "backbone": str(tiny_text),
        "tune": "frozen", "training": QUICK, "plain_baseline": False, "precision": "fp32",
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:no feature cache")
def test_each_row_is_read_once_for_all_arms(texts, tmp_path):
    read = []

    def show(arm, stage, step, total, losses):
        if stage.startswith("reading") and step == total:
            read.append((arm, stage))

    run = ac.compare(**texts, methods=["dann", "mcc", "coral"], out=tmp_path / "all", show=show)
    assert read == [("source_only", "reading source.csv"), ("source_only", "reading target.csv")]
    layers = {row["name"]: row["stages"] for row in run.result["arms"]}
    assert len(layers) == 5
    alone = ac.adapt(**texts, method="mcc", out=tmp_path / "alone")
    for other in ("evidence.npz", "model/weights.safetensors"):
        one, two = (folder / "arms" / "mcc" / other for folder in (tmp_path / "all", alone.folder))
        assert one.read_bytes() == two.read_bytes()


def test_the_model_is_used_in_the_precision_that_its_features_had(texts, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked = []
    embed = cache.embed

    def noting(*args, **options):
        asked.append(options["precision"])
        return embed(*args, **options)

    monkeypatch.setattr("acclimate.runs.features.embed", noting)
    monkeypatch.setattr("acclimate.runs.train.settled", lambda *args: "fp32")
    run = ac.adapt(**{**texts, "precision": "auto"}, method="source_only", out=tmp_path / "run")
    assert set(asked) == {"fp32"} == {run.result["environment"]["precision"]}
    assert ac.load(run.folder)._place.precision == "fp32"
