"""What the Python functions take."""

from __future__ import annotations

import numpy as np
import pytest

import acclimate as ac
from acclimate.domains.sample import toy_shift
from acclimate.errors import SettingsError


def test_long_texts_are_texts_and_no_paths(own_cache, tmp_path, reviews):
    rows = [line.rsplit(",", 1) for line in reviews()]
    texts, labels = [text for text, _ in rows], np.array([label for _, label in rows])
    target = [" ".join([text] * 20)[:3000] + "\0"[: k % 2] for k, text in enumerate(texts)]
    run = ac.adapt(
        ac.read((texts, labels), modality="text", label="label"), target, backbone="ngrams", method="source_only",
        modality="text", out=tmp_path / "run",
    )  # fmt: skip
    assert run.result["data"]["target"]["rows"] == len(texts)


def test_inspect_takes_what_adapt_takes(own_cache):
    source, target, _ = toy_shift(60)
    assert ac.inspect(source, target, top=1)["shifts"] == ac.inspect(source, target)["shifts"][:1]
    with pytest.raises(SettingsError, match="did you mean 'target_shares'"):
        ac.inspect(source, target, target_share={"0": 0.5, "1": 0.5})


def test_names_are_there_for_completion():
    assert {"inspect", "compare", "selection"} <= set(dir(ac))
    assert {"DANN", "mmd", "bbse"} <= set(dir(ac.methods))
