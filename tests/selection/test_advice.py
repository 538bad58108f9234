"""Each rule of thumb."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acclimate.selection.advice import Advice, advise
from acclimate.selection.kinds import NAMES, Kind

WORKS = ("source_only", "dann", "coral", "mlls", "auto")


def asked(name: str, confidence: float = 0.9, distance: float = 1.5, **options: object) -> Advice:
    kind = Kind("none", confidence, {one: float(one == name) for one in NAMES}, 0.8, far=0.2)
    given = {"rows": 500, "shares_certain": True, "hinge": 0.1, "trainable_text": False, "works": WORKS, **options}
    return advise(replace(kind, name=name), distance, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("none", {}, "--method source_only"),
        ("concept", {}, "--method joint --target-label COLUMN"),
        ("new_classes", {}, "--method source_only"),
        ("label", {}, "--method mlls"),
        ("label", {"hinge": 0.001}, "--method source_only"),
        ("label", {"shares_certain": False}, "--method source_only --target-shares CLASS=SHARE,..."),
        ("covariate", {}, "--method auto"),
        ("covariate", {"trainable_text": True}, "--method source_only --tune full"),
        ("covariate", {"trainable_text": True, "distance": 0.5}, "--method auto"),
        ("covariate", {"works": ("source_only", "coral")}, "--method coral"),
        ("covariate", {"works": ("source_only",)}, "--method source_only"),
        ("label", {"confidence": 0.5}, "--method auto"),
    ],
)
def test_the_first_rule_that_applies(name: str, options: dict[str, object], expected: str) -> None:
    found = asked(name, **options)  # type: ignore[arg-type]
    assert found.options == expected
    assert all(found.reasons)


def test_one_method_is_not_told_as_several() -> None:
    for name, options in (("covariate", {}), ("label", {"confidence": 0.5})):
        found = asked(name, works=("source_only", "dann", "coral"), **options)  # type: ignore[arg-type]
        assert found.options == "--method coral" and "compete" not in " ".join(found.reasons)
        assert "--target-label COLUMN" in found.reasons[-1]


def test_dense_answers_are_aligned_gently() -> None:
    found = asked("covariate", works=("source_only", "dann", "coral", "fda"), dense=True, labels="FOLDER")
    assert found.options == "--method dann --set method.strength=0.03"
    assert "strengths of 0.01 to 0.1" in found.reasons[1] and "backbone.augment=crop_flip_color" in found.reasons[2]
    assert "fda" in found.reasons[3] and "--target-label FOLDER" in found.reasons[4]
    assert asked("covariate", dense=True).options == "--method auto"


def test_few_rows_are_told() -> None:
    assert "60 rows on the smaller side are few" in asked("none", rows=60).reasons[-1]
    assert not any("few" in why for why in asked("none").reasons)


def test_new_classes_are_not_forced() -> None:
    assert "20% of the target's rows look like no class of the source" in asked("new_classes").reasons[0]
