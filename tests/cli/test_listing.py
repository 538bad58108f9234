from __future__ import annotations

from acclimate.backbones.registry import BACKBONES
from acclimate.methods.few_shot.registry import LEVELS
from acclimate.methods.registry import META, METHODS
from acclimate.tasks.registry import TASKS


def test_methods_with_their_needs(acclimate):
    found = {line["name"]: line for line in acclimate("list", "methods", "--json").json["methods"]}
    assert set(found) == {*METHODS, "linear_probe"}
    assert found["dann"]["needs"] == ["source labels", "target inputs"]
    assert found["finetune"]["needs"] == ["source labels", "target labels"]


def test_backbones_with_what_they_read(acclimate):
    found = {line["name"]: line for line in acclimate("list", "backbones", "--json").json["backbones"]}
    assert set(BACKBONES) < set(found)
    assert found["minilm"]["reads"] == ["text"]
    assert "timm" in found["timm:NAME"]["about"]


def test_tasks_as_a_table(acclimate):
    done = acclimate("list", "tasks")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split() == ["name", "about"]
    assert [line.split()[0] for line in lines[1:]] == list(TASKS)


def test_learners_with_what_they_answer(acclimate):
    found = {line["name"]: line for line in acclimate("list", "learners", "--json").json["learners"]}
    assert set(found) == set(META)
    assert found["maml"]["answers"] == ["classes", "numbers"]
    assert found["protonet"]["answers"] == ["classes"]


def test_levels(acclimate):
    assert [line["name"] for line in acclimate("list", "levels", "--json").json["levels"]] == ["auto", *LEVELS, "lora"]
