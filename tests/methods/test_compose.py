"""What several methods are together, and which have no meaning together."""

from __future__ import annotations

import pytest
import torch

import acclimate as ac
from acclimate.errors import SettingsError
from acclimate.methods import BBSE, BNM, CORAL, DANN, MCC, MCD, MLLS, SHOT, TENT, AdaBN, Finetune, registry
from acclimate.methods.compose import Composite

REFUSED = {
    "twice the same": (lambda: MCC() + MCC(), "'mcc' is named twice"),
    "target labels": (lambda: Finetune() + MLLS(), "'finetune' learns from target labels"),
    "own training": (lambda: MCD() + MCC(), "'mcd' has a training of its own, so that 'mcc' cannot add"),
    "several updates": (lambda: DANN(form="alternating") + MCC(), "'dann' does more than add losses"),
    "closed form": (lambda: CORAL(form="closed") + MCC(), "'coral' does more than add losses"),
    "shares twice": (lambda: MCC() + MLLS() + BBSE(), "'mlls' and 'bbse' both change the class shares"),
    "weights twice": (lambda: SHOT() + TENT(), "'shot' and 'tent' both change the weights"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_has_no_meaning_is_refused_with_a_reason(case):
    make, reason = REFUSED[case]
    with pytest.raises(SettingsError, match=reason):
        make()


def test_changes_of_the_model_come_after_training_and_shares_last():
    method = MLLS() + AdaBN() + DANN() + MCC()
    assert isinstance(method, Composite)
    assert method.name == "mlls+adabn+dann+mcc"
    assert method.trainer.name == "dann+mcc"
    assert [tail.name for tail in method.tails] == ["adabn", "mlls"]
    assert set(method.needs) == {"source_labels", "target_inputs", "classes", "probabilities"}


def test_names_and_settings_make_the_same_method_again():
    method = DANN(strength=0.3) + MCC(temperature=3.0) + MLLS()
    made = method.recipe()
    assert registry.create(made.pop("name"), made) == method
    with pytest.raises(SettingsError, match=r"unknown member 'strength'.*method\.dann\.SETTING"):
        registry.create("dann+mcc", {"strength": 1.0})
    with pytest.raises(SettingsError, match="temperature must lie in"):
        registry.create("dann+mcc", {"mcc": {"temperature": 0}})


@pytest.fixture
def adapt(points, write_csv, tmp_path):
    source = write_csv(tmp_path / "source.csv", "x0,x1,label", points())
    target = write_csv(tmp_path / "target.csv", "x0,x1,label", points(where="target"))

    def run(method):
        made = ac.adapt(
            str(source), str(target), input=["x0", "x1"], label="label", backbone="mlp", method=method,
            training={"steps": 12, "batch_size": 16}, plain_baseline=False,
        )  # fmt: skip
        return {
            row["name"]: made.folder / "arms" / row["name"] / "model" / "weights.safetensors"
            for row in made.result["arms"]
        }

    return run


def test_members_add_their_losses_and_nothing_else(adapt):
    both = adapt(DANN(strength=0.0, hidden=8) + MCC(strength=0.0))
    assert both["dann+mcc"].read_bytes() == both["source_only"].read_bytes()
    one, alone = adapt(MCC() + BNM(strength=0.0)), adapt(MCC())
    assert one["mcc+bnm"].read_bytes() == alone["mcc"].read_bytes()
    assert adapt(MCC() + BNM())["mcc+bnm"].read_bytes() != alone["mcc"].read_bytes()


def test_a_correction_of_shares_moves_the_bias_alone(adapt):
    from safetensors.torch import load_file

    plain, corrected = load_file(adapt("mcc")["mcc"]), load_file(adapt("mcc+mlls")["mcc+mlls"])
    assert not torch.equal(plain["head.bias"], corrected["head.bias"])
    assert all(torch.equal(plain[name], corrected[name]) for name in plain if name != "head.bias")


def test_what_only_weighs_source_only_anew_is_an_echo_under_any_name():
    assert registry.create("mlls").echoes and registry.create("source_only+mlls").echoes
    assert not registry.create("dann+mlls").echoes and not registry.create("adabn+mlls").echoes
