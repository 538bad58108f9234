"""Classes taken out of a head, and what is looked for afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acclimate.errors import SettingsError
from acclimate.tasks.classify import Classify
from acclimate.tasks.regress import Regress
from acclimate.trust.forget.residue import named, sample, told


def test_a_task_without_some_of_its_classes():
    task = Classify(("axolotl", "cat", "dog"))
    assert task.without(["axolotl"]).classes == ("cat", "dog")
    with pytest.raises(SettingsError, match="'cow' is none of the model's"):
        task.without(["cow"])
    with pytest.raises(SettingsError, match="none would be left"):
        task.without(task.classes)
    with pytest.raises(SettingsError, match="only 'dog' would be left"):
        task.without(["cat", "axolotl"])
    with pytest.raises(SettingsError, match="'regress' has no classes"):
        Regress().without(["cat"])


def test_names_are_found_wherever_they_stand(tmp_path: Path):
    (tmp_path / "model.json").write_text('{"task": {"classes": ["cat"]}, "axolotl seen": 1}', "utf-8")
    (tmp_path / "notes.md").write_text("it knows cats and concatenation", "utf-8")
    (tmp_path / "weights.bin").write_bytes(b"\0\1cat\0axolotl\2")
    (tmp_path / "emu.txt").write_text("", "utf-8")
    found = named(tmp_path, ["cat", "axolotl", "emu", "dog"])
    assert found == {"cat": ["model.json"], "axolotl": ["model.json", "weights.bin"], "emu": ["emu.txt"]}


def test_a_probe_tells_what_can_be_told_and_nothing_else():
    rng = np.random.default_rng(0)
    there = np.arange(200) < 60
    noise = rng.normal(size=(200, 5))
    low, high = told(noise, there)["interval"]
    assert low < 0.5 < high
    assert told(noise + 3 * np.outer(there, np.ones(5)), there)["auc"] > 0.99
    labels = np.array(["a"] * 9 + ["b"] * 30, dtype=object)
    assert sample(labels, "a", 0) is None
