"""Commands are classes of sounds."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.domains.domain import Domain, Schema
from acclimate.domains.rows import ListRows
from acclimate.errors import DataError
from acclimate.tasks import registry
from acclimate.tasks.classify import Classify


def domain(modality):
    labels = np.array(["on", "off", "on"], dtype=object)
    return Domain("clips", Schema(modality, label="x"), ListRows(np.arange(3)), np.array([b"a", b"b", b"c"]), labels)


def test_it_answers_like_classify_under_its_own_name():
    task = registry.create("command", domain("audio"))
    assert (task.name, task.classes, task.kind) == ("command", ("off", "on"), "class")
    again = registry.restore(task.config())
    assert again == task != Classify(("off", "on"))
    outputs = {"logits": np.array([[2.0, 0.0], [0.0, 1.0]])}
    assert task.decode(outputs).prediction.tolist() == Classify(task.classes).decode(outputs).prediction.tolist()


def test_commands_are_sounds():
    with pytest.raises(DataError, match="clips is text, and commands are sounds; use --task classify"):
        registry.create("command", domain("text"))
