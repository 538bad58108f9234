from __future__ import annotations

import json

import acclimate as ac


def test_for_people(acclimate, columns):
    done = acclimate("inspect", *columns)
    assert done.code == 0
    assert "modality table" in done.err
    assert "source.csv, 150 rows, 2 classes" in done.out
    assert "target.csv, 100 rows\n" in done.out
    assert "gap: proxy A-distance" in done.out
    assert "  b: distance" in done.out
    assert "MMD^2 " in done.out and "kind of shift: " in done.out and "class shares of the target (" in done.out
    assert "most target-like rows of the target:" in done.out
    assert "try first: --method " in done.out
    assert "features in " in done.err
    assert "methods that work with these data: source_only, dann, cdan, " in done.out
    assert "with --target-label also: target_only, finetune, joint\n" in done.out


def test_any_setting_of_a_recipe(acclimate, columns):
    frozen, trained = (acclimate("inspect", *columns, "--set", f"tune.kind={kind}", "--json", "--backbone", backbone)
                       for kind, backbone in (("frozen", "columns"), ("full", "mlp")))  # fmt: skip
    assert "combat" in frozen.json["methods"] and "combat" not in trained.json["methods"]
    assert "unknown" in acclimate("inspect", *columns, "--set", "tune.kinds=full").err


def test_numbers_have_a_range_and_no_classes(acclimate, write_csv, tmp_path):
    path = write_csv(tmp_path / "numbers.csv", "a,label", [f"{k},{k / 4}" for k in range(41)])
    done = acclimate("inspect", "--source", path, "--input", "a", "--label", "label")
    assert "numbers.csv, 41 rows, labels 0 to 10 (median 5)\n" in done.out


def test_json(acclimate, columns):
    done = acclimate("inspect", *columns, "--json", "--backbone", "mlp")
    assert (done.code, done.err) == (0, "")
    assert done.json["gap"]["backbone"] == "mlp"
    assert done.json["shifts"][0]["name"] == "b"


def test_labels_of_the_target_are_never_read(acclimate, tables, tmp_path):
    """The same rows with other labels give the same words."""
    text = (tables / "test.csv").read_text()
    poisoned = tmp_path / "test.csv"
    poisoned.write_text(text.replace(",yes", ",no"))
    words = ("inspect", "--source", tables / "source.csv", "--input", "*", "--label", "label", "--json", "--target")
    found = [acclimate(*words, target).json for target in (poisoned, tables / "test.csv")]
    for value in found:
        value.pop("seconds")
    assert found[0] == found[1]


def test_without_a_target(acclimate, tables):
    done = acclimate("inspect", "--source", tables / "source.csv", "--input", "*", "--label", "label")
    assert done.code == 0
    assert "methods that work with these data: source_only\n" in done.out
    assert "gap" not in done.out


def test_what_cannot_be_inspected(acclimate, tables):
    assert acclimate("inspect", "--source", tables / "nothing.csv", "--input", "a", "--label", "label").code == 3
    assert acclimate("inspect", "--source", tables / "source.csv", "--input", "a").code == 3
    words = ("--source", tables / "source.csv", "--target", tables / "target.csv", "--input", "a", "--label", "label")
    assert acclimate("inspect", *words, "--backbone", "mlpp").code == 2
    done = acclimate("inspect", *words, "--target-shares", "yess=0.5,no=0.5")
    assert done.code == 2
    assert "unknown class 'yess'; did you mean 'yes'?" in done.err


def test_python_says_the_same(acclimate, points, write_csv, tmp_path):
    paths = [write_csv(tmp_path / f"{k}.csv", "x0,x1,label", points(60, seed=k)) for k in range(2)]
    words = ("--source", paths[0], "--target", paths[1], "--input", "x0", "--input", "x1", "--label", "label")
    told = acclimate("inspect", *words, "--json").json
    found = ac.inspect(str(paths[0]), str(paths[1]), input=["x0", "x1"], label="label")
    assert {**json.loads(json.dumps(found)), "seconds": 0} == {**told, "seconds": 0}
