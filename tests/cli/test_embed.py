from __future__ import annotations

import numpy as np
import pytest

import acclimate as ac


def test_writes_layers_ids_and_labels(acclimate, tables, tmp_path):
    out = tmp_path / "features.npz"
    words = ("--data", tables / "source.csv", "--input", "a", "--input", "b", "--label", "label")
    done = acclimate("embed", *words, "--backbone", "columns", "-o", out, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json == {"output": str(out), "backbone": "columns", "rows": 150, "layers": {"columns": 2}}
    domain = ac.read(str(tables / "source.csv"), input=["a", "b"], label="label")
    with np.load(out, allow_pickle=False) as found:
        assert set(found.files) == {"columns", "id", "label"}
        assert np.array_equal(found["columns"], ac.embed(domain, "columns")["columns"])
        assert found["id"].tolist() == domain.ids.astype(str).tolist()
        assert found["label"].tolist() == domain.labels.tolist()


def test_named_layers_and_no_labels_unasked(acclimate, tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (9, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "digits.npz", x=images, y=np.arange(9) % 2)
    out = tmp_path / "features.npz"
    words = ("embed", "--data", tmp_path / "digits.npz", "--backbone", "small_cnn", "--modality", "image")
    done = acclimate(*words, "--layer", "conv1", "--layer", "fc", "-o", out)
    assert done.code == 0
    assert "conv1 [9, 32], fc [9, 100]" in done.out
    with np.load(out, allow_pickle=False) as found:
        assert set(found.files) == {"conv1", "fc", "id"}
        assert found["fc"].shape == (9, 100)
    done = acclimate(*words, "--layer", "conv3", "-o", tmp_path / "other.npz")
    assert done.code == 2
    assert "unknown layer of small_cnn 'conv3'; did you mean 'conv" in done.err
    assert not (tmp_path / "other.npz").exists()


@pytest.mark.parametrize("name", ["features", "features.npy", "features.csv"])
def test_the_name_must_say_npz(acclimate, tables, tmp_path, name):
    done = acclimate("embed", "--data", tables / "source.csv", "--input", "a", "-o", tmp_path / name)
    assert done.code == 2
    assert "name it .npz" in done.err
