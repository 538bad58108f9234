from __future__ import annotations

import json

import numpy as np
import pytest

TEACH = ("--backbone", "mlp", "--precision", "fp32", "--set", "training.steps=20", "--set", "training.batch_size=16")


@pytest.fixture
def places(write_csv, points, tmp_path) -> tuple[str, ...]:
    """Source and target as options, with all columns but the label as inputs."""
    source = write_csv(tmp_path / "source.csv", "x0,x1,label", points())
    target = write_csv(tmp_path / "target.csv", "x0,x1,label", points(where="target"))
    return "--source", str(source), "--target", str(target), "--input", "*", "--label", "label"


def test_it_is_told_and_used_by_every_command(acclimate, places, tmp_path):
    folder = str(tmp_path / "enc")
    done = acclimate("pretrain", *places, *TEACH, "-o", folder)
    assert done.code == 0, done.err
    assert "setting: unsupervised; nothing but the inputs is read" in done.err
    assert f"--backbone {folder}" in done.err
    rows = [line.split() for line in done.out.splitlines()]
    assert [row[0] for row in rows[1:3]] == ["source", "target"]
    record = json.loads((tmp_path / "enc" / "pretraining.json").read_text())
    seen = record["evidence"]["target"]
    assert rows[2][1:3] == [f"{seen['held_out_loss'][when]:.3f}" for when in ("before", "after")]
    assert rows[2][3:5] == [f"{seen['effective_rank'][when]:.1f}" for when in ("before", "after")]
    assert "training loss contrast_target" in done.out

    rest = ("--backbone", folder, "--precision", "fp32", "--json")
    looked = acclimate("inspect", *places, *rest)
    assert looked.json["gap"]["backbone"] == folder
    target = places[3]
    out = tmp_path / "features.npz"
    assert acclimate("embed", "--data", target, "--input", "x0", "--input", "x1", *rest, "-o", out).code == 0
    with np.load(out) as features:
        assert features["hidden_1"].shape == (60, 100)
    compared = acclimate("compare", *places, *rest, "--methods", "mcc", "-o", tmp_path / "cmp",
                         "--set", "training.steps=5", "--plain-baseline", "no")  # fmt: skip
    assert {row["backbone"] for row in compared.json["arms"]} == {folder}
    adapted = acclimate("adapt", *places, *rest, "--method", "source_only", "-o", tmp_path / "run")
    assert adapted.json["backbone"] == folder
    answers = acclimate("predict", tmp_path / "run", "--data", target, "--json")
    assert answers.code == 0


def test_json_is_the_record(acclimate, places, tmp_path):
    done = acclimate("pretrain", *places, *TEACH, "-o", tmp_path / "enc", "--json", "--method", "simclr")
    assert done.err == ""
    assert done.json == json.loads((tmp_path / "enc" / "pretraining.json").read_text())
    again = acclimate("resume", tmp_path / "enc", "--json")
    assert again.json == done.json
    assert "held-out loss, taught" in acclimate("resume", tmp_path / "enc").out


def test_a_recipe_says_all_of_it(acclimate, places, tmp_path):
    first, second = tmp_path / "one", tmp_path / "two"
    assert acclimate("pretrain", *places, *TEACH, "-o", first, "--quiet").code == 0
    assert acclimate("pretrain", "--recipe", first / "recipe.yaml", "-o", second, "--quiet").code == 0
    weights = [(folder / "encoder" / "weights.safetensors").read_bytes() for folder in (first, second)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--method", "mlm"), 2, "methods that would work: simclr"),
        (("--method", "dann"), 2, "unknown pretraining method 'dann'; known: mlm, simclr"),
        (("--tune", "frozen"), 2, "frozen"),
        (("--set", "method.share=0.3"), 2, "unknown setting 'share'"),
        (("--backbone", "columns"), 2, "cannot be changed"),
        (("--source", "nowhere.csv"), 3, "nowhere.csv"),
        (("--target-input", "height"), 3, "height"),
    ],
)
def test_bad_requests(acclimate, places, tmp_path, words, code, said):
    done = acclimate("pretrain", *places, *TEACH, *words, "-o", tmp_path / "enc")
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "enc").exists()


def test_a_full_folder_is_left_alone(acclimate, places, tmp_path):
    folder = tmp_path / "enc"
    assert acclimate("pretrain", *places, *TEACH, "-o", folder, "--quiet").code == 0
    refused = acclimate("pretrain", *places, *TEACH, "-o", folder)
    assert refused.code == 2
    assert "--force" in refused.err
    assert acclimate("pretrain", *places, *TEACH, "-o", folder, "--force", "--quiet").code == 0
    for verb in (("predict", folder, "--data", places[3]), ("evaluate", folder, "--data", places[3])):
        done = acclimate(*verb)
        assert done.code == 3
        assert "an encoder, which gives no answers yet" in done.err
    assert "simclr" in acclimate("list", "pretraining").out


def test_a_damaged_encoder_is_no_backbone(acclimate, places, tmp_path):
    folder = tmp_path / "enc"
    assert acclimate("pretrain", *places, *TEACH, "-o", folder, "--quiet").code == 0
    (folder / "encoder" / "weights.safetensors").write_bytes(b"no weights")
    done = acclimate("adapt", *places, "--backbone", folder, "-o", tmp_path / "run")
    assert done.code == 3
    assert "not the file that was saved" in done.err
    assert not (tmp_path / "run").exists()
