"""Methods by name and settings, as one word and as variants of each other."""

from __future__ import annotations

import json
import re

import pytest

from acclimate.errors import SettingsError
from acclimate.methods import DANN, MCC, MLLS, DeepJDOT, registry
from acclimate.settings import build

REFUSED = {
    "no value": ("mcc:strength", "expected NAME:SETTING=VALUE"),
    "an empty value": ("mcc:strength=", "expected NAME:SETTING=VALUE"),
    "twice": ("mcc:strength=1:strength=2", "each setting once; found 'strength=2'"),
    "a setting that is not there": ("mcc:strenght=1", "did you mean 'strength'"),
    "a value out of range": ("mcc:strength=-1", "strength must lie in"),
    "no number": ("mcc:strength=much", "valid number"),
    "broken YAML": ("mcc:strength=[", "'\\[' is not a value"),
    "nobody's setting": ("dann+mcc:strength=1", "expected A\\+B:A.SETTING=VALUE"),
    "a member that is not there": ("dann+mcc:dan.strength=1", "unknown member 'dan'"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_a_word_that_is_no_method_is_refused(case):
    text, reason = REFUSED[case]
    with pytest.raises(SettingsError, match=reason):
        registry.parse(text)


@pytest.mark.parametrize(
    ("method", "word"),
    [
        (MCC(), "mcc"),
        (MCC(strength=0.3, temperature=2), "mcc:strength=0.3:temperature=2"),
        (MCC(strength=1 / 3), "mcc:strength=0.3333333333333333"),
        (DeepJDOT(alpha=1e-5, marginal=0.5), "deepjdot:alpha=1e-05:marginal=0.5"),
        (DANN(form="alternating"), "dann:form=alternating"),
        (registry.parse("cdan:entropy=false"), "cdan:entropy=false"),
        (DANN(strength=0.3) + MCC() + MLLS(), "dann+mcc+mlls:dann.strength=0.3"),
    ],
)
def test_a_title_names_what_differs_from_the_default_and_makes_the_method_again(method, word):
    assert registry.title(method) == word
    assert registry.parse(word) == method


def test_a_value_equal_to_the_default_is_not_named():
    assert registry.title(registry.parse("mcc:strength=1.0")) == "mcc"


def test_settings_of_a_member_are_a_mapping():
    with pytest.raises(SettingsError, match=r"expected the settings of 'dann', found 0\.3"):
        registry.create("dann+mcc", {"dann": 0.3})


@pytest.mark.parametrize("name", registry.META)
def test_a_meta_learner_is_made_again_from_its_recipe(name):
    kind = registry.find_meta(name)
    recipe = json.loads(json.dumps(kind().recipe()))
    assert recipe.pop("name") == name == kind.name
    assert build(kind, recipe, name) == kind()


@pytest.mark.parametrize("name", ["maml", "maml++", "baseline++"])
def test_a_meta_learner_in_the_place_of_a_method_is_told_where_it_belongs(name):
    with pytest.raises(SettingsError, match=f"`acclimate meta-train --method {re.escape(name)} "):
        registry.create(name)


def test_a_meta_learner_that_is_not_there():
    with pytest.raises(SettingsError, match="unknown meta-learner 'protonets'; did you mean 'protonet'"):
        registry.find_meta("protonets")


def titles(method, count, **options):
    return [registry.title(found) for found in registry.variants(method, count, **options)]


def test_variants_begin_with_the_method_and_vary_first_what_matters_most():
    assert titles(MCC(), 1) == ["mcc"]
    assert titles(MCC(), 5) == [
        "mcc",
        "mcc:strength=0.3",
        "mcc:strength=3",
        "mcc:temperature=1.5",
        "mcc:strength=0.1",
    ]
    assert len(titles(MCC(), 1000)) == len(set(titles(MCC(), 1000))) == 16


def test_settings_that_were_chosen_stay():
    found = registry.variants(MCC(strength=0.7), 1000)
    assert [method.strength for method in found] == [0.7] * 4
    assert [method.temperature for method in found] == [2.5, 1.5, 4.0, 1.0]


def test_variants_of_a_combination_vary_its_members_in_turn():
    assert titles(DANN() + MCC() + MLLS(), 4) == [
        "dann+mcc+mlls",
        "dann+mcc+mlls:dann.strength=0.3",
        "dann+mcc+mlls:dann.strength=3",
        "dann+mcc+mlls:mcc.strength=0.3",
    ]


@pytest.mark.parametrize(("name", "idle"), [("coral", "strength"), ("importance_weighting", "hidden")])
def test_what_the_closed_form_does_not_look_at_is_not_varied_there(name, idle):
    method = registry.create(name)
    assert any(idle in title for title in titles(method, 100))
    assert not any(idle in title for title in titles(method, 100, convex=True))
