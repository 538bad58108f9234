"""Private runs: what they spend, what they refuse, what is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.errors import SettingsError
from acclimate.files import read_json
from acclimate.runs.report.card import write_card

ASKED = {"epsilon": 8, "delta": 1e-4, "seeded": True, "accountant": "rdp"}  # the quick one
BOTH = {**ASKED, "of": "both"}


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


@pytest.fixture
def place(tmp_path):
    """``place(shift, poison)``: 400 rows of four numbers, whose first tells the class and whose second the domain."""

    def make(name: str, shift: float = 0.0, seed: int = 0, poison: bool = False, n: int = 400) -> str:
        rng = np.random.default_rng(seed)
        y = np.arange(n) % 2
        x = rng.normal(size=(n, 4)).astype(np.float32)
        x[:, 0] += 4 * y - 2
        x[:, 1] += shift
        labels = np.array(["no", "yes"])[1 - y if poison else y]
        np.savez(tmp_path / f"{name}.npz", x=x, y=labels)
        return f"{tmp_path / name}.npz?x=x&y=y"

    return make


def private(source: str, target: str | None, out, **options):
    options = {"privacy": ASKED, "training": {"steps": 60, "batch_size": 40, "learning_rate": 0.01}, **options}
    return ac.adapt(source, target, out=out, **options)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 8))


def read(places) -> list[ac.Domain]:
    return [ac.read(place, label="y") for place in places]


@pytest.fixture
def both(place):
    return place("source"), place("target", 1.0, seed=1)


@pytest.mark.parametrize("method", ["source_only", "dann"])
def test_it_learns_within_its_budget(both, tmp_path, method):
    source, target = both
    run = private(source, target, tmp_path / "run", method=method)
    private_part = run.result["privacy"]
    assert 7.5 < private_part["spent"]["source"] <= 8
    assert [arm["name"] for arm in run.result["arms"]] == [method]  # no other arm spends, or is kept beside it
    assert private_part["unprotected"] == (["target"] if method == "dann" else [])
    assert read_json(tmp_path / "run" / "model" / "model.json")["origin"]["privacy"] == private_part
    assert read_json(tmp_path / "run" / "model" / "model.json")["temperature"] == 1.0
    run.evaluate(target)
    assert run.result["arms"][0]["target"]["metrics"]["accuracy"] > 0.9


def test_nothing_of_held_out_rows_is_in_the_model(both, tmp_path):
    source, target = both
    run = private(source, target, tmp_path / "run", method="source_only")
    assert not (tmp_path / "run" / "model" / "certainty.npz").exists()
    card = write_card(run.folder).read_text(encoding="utf-8")
    assert "Differentially private: epsilon 7.9" in card and "not private" in card  # its noise follows from a seed
    assert "source, held out" not in card
    assert run.result["data"]["source"]["hash"] not in card
    assert run.reasons and not any(reason in card for reason in run.reasons)


def test_both_domains_are_accounted_for(both, tmp_path):
    source, target = read(both)
    run = private(source, target, tmp_path / "run", method="dann", privacy=BOTH, backbone=network(), tune="full")
    spent = run.result["privacy"]["spent"]
    assert set(spent) == {"source", "target"}
    assert spent["target"] < spent["source"] <= 8  # the source's rows are fewer: a fifth is held out
    assert {entry["of"]: entry["rows"] for entry in run.result["privacy"]["stages"]} == {"source": 320, "target": 400}


def test_fine_tuning_spends_on_each_domain_by_itself(both, tmp_path):
    source, target = read(both)
    run = private(
        source,
        target,
        tmp_path / "run",
        method="finetune",
        target_label="y",
        privacy=BOTH,
        backbone=network(),
        tune="full",
    )
    assert {entry["stage"]: entry["of"] for entry in run.result["privacy"]["stages"]} == {
        "source": "source", "target": "target",
    }  # fmt: skip
    assert all(7 < spent <= 8 for spent in run.result["privacy"]["spent"].values())


def test_labels_of_the_target_change_nothing(place, tmp_path):
    weights = []
    for poison in (False, True):
        run = private(place("source"), place("target", 1.0, 1, poison), tmp_path / f"run{poison}", method="dann")
        weights.append((tmp_path / f"run{poison}" / "model" / "weights.safetensors").read_bytes())
        assert run.result["privacy"]["secret"] is False
    assert weights[0] == weights[1]


def test_statistics_come_from_the_public_side(both, tmp_path):
    """Another source, the same target: what scales the columns is the same, and the target's."""
    source, target = both
    found = []
    for shift in (0.0, 30.0):
        with np.load(source.partition("?")[0]) as arrays:
            np.savez(tmp_path / "moved.npz", x=arrays["x"] + np.float32(shift), y=arrays["y"])
        private(
            f"{tmp_path}/moved.npz?x=x&y=y", target, tmp_path / f"run{shift}", method="source_only", backbone="columns"
        )
        found.append(read_json(tmp_path / f"run{shift}" / "model" / "model.json")["backbone"])
    assert found[0] == found[1]
    with np.load(target.partition("?")[0]) as arrays:
        assert found[0]["encoder"]["numbers"]["mean"] == pytest.approx(arrays["x"].mean(0).tolist(), abs=1e-5)


def test_the_report_and_the_command_line_say_it(both, tmp_path, capsys):
    from acclimate.cli.main import main

    source, target = both
    asked = ["--method", "source_only", "--privacy", "epsilon=8,delta=1e-4", "--set", "training.steps=20"]
    code = main(["adapt", "--source", source, "--target", target, *asked, "-o", str(tmp_path / "run")])
    said = capsys.readouterr()
    assert code == 0
    assert "epsilon" in said.out + said.err
    section = json.loads((tmp_path / "run" / "trust" / "privacy.json").read_text())
    assert section["name"] == "privacy"
    assert read_json(tmp_path / "run" / "result.json")["privacy"]["secret"] is True


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"privacy": {"epsilon": 8, "delta": 0.004}}, r"not below one over the 320 rows of the source"),
        ({"privacy": {"epsilon": 8}}, "delta must be above 0"),
        ({"privacy": {"epsilon": -1, "delta": 1e-5}}, "epsilon must be above 0"),
        ({"privacy": "epsilon"}, "expected KEY=VALUE"),
        ({"privacy": {"epsilom": 8, "delta": 1e-5}}, "epsilon"),
        ({"method": "mcc"}, "no sum over rows"),
        ({"method": "source_only+mlls"}, "mlls"),
        ({"method": {"name": "dann", "form": "alternating"}}, "one update"),
        ({"training": {"keep": "source"}}, "keep"),
        ({"precision": "fp16"}, "fp16"),
        ({"training": {"batch_size": 400}}, "more than the 320 rows"),
        ({"privacy": {**ASKED, "of": "both"}, "backbone": "mlp"}, "learns its preprocessing"),
    ],
)
def test_what_is_refused(both, tmp_path, options, said):
    source, target = both
    with pytest.raises(SettingsError, match=said):
        private(source, target, tmp_path / "run", **{"method": "source_only", **options})
    assert not (tmp_path / "run").exists()


def test_batch_norms_that_learn_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "images.npz", x=rng.integers(0, 255, (60, 28, 28), dtype=np.uint8), y=np.arange(60) % 2)
    with pytest.raises(SettingsError, match="batch norms that learn"):
        private(f"{tmp_path}/images.npz?x=x&y=y", None, tmp_path / "run", backbone="conv4", method="source_only",
                privacy={"epsilon": 8, "delta": 1e-4})  # fmt: skip
