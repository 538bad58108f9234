from __future__ import annotations

import json

import numpy as np
import pytest

import acclimate as ac


@pytest.fixture
def filled(tmp_path, monkeypatch):
    """A cache with two rows of images in two layers."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    images = np.arange(2 * 64, dtype=np.uint8).reshape(2, 8, 8)
    ac.embed(ac.read(images, modality="image"), "small_cnn", layers=["conv1", "fc"], precision="fp32")
    return tmp_path / "acclimate" / "features"


def test_list_and_clear(acclimate, filled):
    found = acclimate("cache", "list", "--json").json
    assert found["folder"] == str(filled)
    assert {(e["backbone"], e["layer"], e["precision"], e["rows"]) for e in found["entries"]} == {
        ("small_cnn", "conv1", "fp32", 2),
        ("small_cnn", "fc", "fp32", 2),
    }
    assert found["size"] == sum(entry["size"] for entry in found["entries"])
    shown = acclimate("cache", "list").out.splitlines()
    assert shown[0].split() == ["entry", "backbone", "layer", "precision", "rows", "width", "size", "last", "used"]
    assert shown[-1].startswith("2 entries, ") and "20 GB (ACCLIMATE_CACHE_SIZE)" in shown[-1]
    assert acclimate("cache", "clear", "--older-than", "1d").out == "removed 0 entries, 0 B\n"
    done = acclimate("cache", "clear", "--backbone", "small_cnn", "--json")
    assert (len(done.json["removed"]), done.json["in_use"]) == (2, [])
    assert not list(filled.rglob("*.npy"))
    assert acclimate("cache", "list").out.startswith("0 entries")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("clear", "--older-than", "soon"), "--older-than 'soon' is not a duration"),
        (("clear", "--backbone", "small_cn"), "did you mean 'small_cnn'?"),
        (("lst",), "did you mean 'list'?"),
        ((), "required: COMMAND"),
    ],
)
def test_bad_words(acclimate, filled, words, said):
    done = acclimate("cache", *words)
    assert done.code == 2 and said in done.err
    assert len(list(filled.rglob("*.npy"))) == 2


def test_a_bound_that_is_none_stops_what_would_write(acclimate, filled, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCLIMATE_CACHE_SIZE", "lots")
    done = acclimate("cache", "list", "--json")
    assert done.code == 2 and "ACCLIMATE_CACHE_SIZE" in json.loads(done.out)["error"]
