from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import acclimate as ac
from acclimate.runs.run import Run

PAGE = Path(__file__).parents[2] / "docs" / "result.md"


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fill(path, out, take=None):
    """The label by the sign of ``a`` for the first ``take`` rows."""
    found = rows(path)
    for row in found[:take]:
        row["label"] = "yes" if float(row["a"]) > 0 else "no"
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, found[0].keys())
        writer.writeheader()
        writer.writerows(found)


def test_the_file_has_the_rows_of_the_target_and_an_empty_label(acclimate, run, tables, tmp_path):
    done = acclimate("label-plan", run, "-n", 12, "-o", tmp_path / "to_label.csv")
    assert (done.code, done.out) == (0, f"{tmp_path / 'to_label.csv'}\n")
    found = rows(tmp_path / "to_label.csv")
    inputs = ["a", "b", "c"]
    assert list(found[0]) == ["row", *inputs, "label", "why", "score"]
    assert len(found) == 12 == len({row["row"] for row in found})
    target = rows(tables / "target.csv")
    for row in found:
        there = target[int(row["row"])]
        assert {name: row[name] for name in inputs} == {name: there[name] for name in inputs}
        assert row["label"] == ""
        assert re.fullmatch(r"\d of \d arms say (yes|no)(, \d of \d arms say (yes|no))*", row["why"])
    scores = [float(row["score"]) for row in found]
    assert scores[0] == max(scores) > 0
    assert "no learning curve" in done.err and "estimated from confidence" in done.err


def test_scores_are_the_committee_s_disagreement(acclimate, run, tables, tmp_path):
    target, loaded = str(tables / "target.csv"), Run(run)
    report = acclimate("label-plan", run, "-n", 5, "-o", tmp_path / "out.csv", "--json").json
    answers = np.stack([loaded.arm(name).predict_proba(target) for name in report["committee"]])

    def entropy(p):
        return -(p * np.log(np.maximum(p, 1e-12))).sum(-1)

    expected = entropy(answers.mean(axis=0)) - entropy(answers).mean(axis=0)
    for row in rows(tmp_path / "out.csv"):
        assert float(row["score"]) == pytest.approx(expected[int(row["row"])], abs=1e-3)


def test_labels_in_the_target_s_file_play_no_part(acclimate, tables, tmp_path):
    plans = []
    for name, poison in (("true", {}), ("poisoned", {"yes": "no", "no": "yes"})):
        folder = tmp_path / name
        folder.mkdir()
        source = rows(tables / "source.csv")
        for file, flip in (("source", {}), ("target", poison)):
            with (folder / f"{file}.csv").open("w", newline="") as out:
                writer = csv.DictWriter(out, source[0].keys())
                writer.writeheader()
                shift = 0.0 if file == "source" else 1.0
                writer.writerows(
                    {**row, "b": float(row["b"]) + shift, "label": flip.get(row["label"], row["label"])}
                    for row in source
                )
        words = ("--source", folder / "source.csv", "--target", folder / "target.csv", "--label", "label")
        model = ("--input", "a", "--input", "b", "--backbone", "mlp", "--set", "training.steps=20", "--quiet")
        assert acclimate("adapt", *words, *model, "-o", folder / "run").code == 0
        assert acclimate("label-plan", folder / "run", "-n", 9, "-o", folder / "plan.csv").code == 0
        plans.append((folder / "plan.csv").read_text())
    assert plans[0] == plans[1]


@pytest.mark.parametrize("take", [None, 12])
def test_the_filled_file_is_a_target_with_labels(acclimate, run, tables, tmp_path, take):
    assert acclimate("label-plan", run, "-n", 20, "-o", tmp_path / "plan.csv").code == 0
    fill(tmp_path / "plan.csv", tmp_path / "filled.csv", take)
    sealed = tmp_path / "sealed.csv"
    sealed.write_text("\n".join(",".join(line.split(",")[:3]) for line in (tables / "target.csv").read_text().split()))
    assert "label" not in sealed.read_text()
    words = ("--source", tables / "source.csv", "--target", tmp_path / "filled.csv", "--target", sealed)
    model = ("--input", "a", "--input", "b", "--backbone", "mlp", "--set", "training.steps=20", "--json")
    for number, places in enumerate((words, words[:-2])):
        done = acclimate(
            "adapt", *places, "--label", "label", "--target-label", "label", *model, "-o", tmp_path / str(number)
        )
        assert done.code == 0, done.err
        split = done.json["data"]["split"]
        assert split["labelled_target"] + split["labelled_target_validation"] == (take or 20)
        assert split["target"] == 20 + (0 if number else len(rows(sealed)) - (take or 20)), "no row is there twice"


def test_fewer_rows_than_asked_for_are_told(acclimate, run, tmp_path):
    done = acclimate("label-plan", run, "-n", 10_000, "-o", tmp_path / "plan.csv")
    assert f"asked for 10000 rows: no more than {len(rows(tmp_path / 'plan.csv'))} differ" in done.err


def test_labels_that_were_filled_in_are_not_lost(acclimate, run, tmp_path):
    words = ("label-plan", run, "-n", 4, "-o", tmp_path / "plan.csv")
    assert acclimate(*words).code == 0
    fill(tmp_path / "plan.csv", tmp_path / "plan.csv")
    filled = (tmp_path / "plan.csv").read_text()
    again = acclimate(*words)
    assert again.code == 2 and "may hold labels; --force replaces it" in again.err
    assert (tmp_path / "plan.csv").read_text() == filled
    assert acclimate(*words, "--force").code == 0
    assert {row["label"] for row in rows(tmp_path / "plan.csv")} == {""}


def test_rows_that_were_labelled_are_not_asked_for_again(acclimate, run, tables, tmp_path):
    assert acclimate("label-plan", run, "-n", 20, "-o", tmp_path / "plan.csv").code == 0
    fill(tmp_path / "plan.csv", tmp_path / "filled.csv", 12)
    words = ("--source", tables / "source.csv", "--target", tmp_path / "filled.csv", "--target-label", "label")
    model = ("--input", "a", "--input", "b", "--backbone", "mlp", "--set", "training.steps=20", "--quiet")
    assert acclimate("adapt", *words, "--label", "label", *model, "-o", tmp_path / "next").code == 0
    assert acclimate("label-plan", tmp_path / "next", "-n", 50, "-o", tmp_path / "more.csv").code == 0
    assert sorted(int(row["row"]) for row in rows(tmp_path / "more.csv")) == list(range(12, 20))


def test_the_report_is_documented_and_measured_once_opened(acclimate, run, tables, tmp_path):
    report = acclimate("label-plan", run, "-n", 10, "-o", tmp_path / "plan.csv", "--json").json
    text = PAGE.read_text(encoding="utf-8")
    part = text[text.index("# label-plan --json") : text.index("# evaluate --json")]
    assert set(report) == set(re.findall(r"^\| `([^`]+)` \|", part, flags=re.MULTILINE))
    assert {guess["by"] for guess in report["expected"].values()} == {"confidence"}
    assert report["curve"] is report["bought"] is report["worth"] is None, "30 held-out rows are too few"
    found = acclimate("evaluate", run, "--data", tables / "test.csv", "--label", "label", "--json").json
    report = acclimate("label-plan", run, "-n", 10, "-o", tmp_path / "plan.csv", "--force", "--json").json
    for name, guess in report["expected"].items():
        assert guess["by"] == "evaluation" and guess["value"] == found["arms"][name]["metrics"]["accuracy"]


@pytest.mark.parametrize("backbone", ["columns", "mlp"])
def test_what_labels_buy(acclimate, points, write_csv, tmp_path, backbone):
    """Two hundred points that two numbers tell apart: a dozen labels reach what the model does."""
    source = write_csv(tmp_path / "s.csv", "x0,x1,label", points(500))
    target = write_csv(tmp_path / "t.csv", "x0,x1,label", points(200, seed=1))
    words = ("--source", source, "--target", target, "--label", "label", "--input", "x0", "--input", "x1", "--quiet")
    model = ("--backbone", backbone, "--method", "mcc", "--set", "training.steps=150", "--plain-baseline", "no")
    assert acclimate("adapt", *words, *model, "-o", tmp_path / "run").code == 0
    done = acclimate("label-plan", tmp_path / "run", "-n", 30, "-o", tmp_path / "plan.csv", "--json")
    report = done.json
    sizes, accuracy = report["curve"]["labels"], report["curve"]["accuracy"]
    assert sizes == ([10, 20, 50, 100, 200] if backbone == "columns" else [10, 20, 50])
    assert accuracy[-1] > 0.95 and accuracy[0] < accuracy[-1] + 0.01
    bought = report["bought"]["accuracy"]
    assert report["bought"]["labels"] == 30 and bought["low"] <= bought["value"] <= bought["high"]
    assert bought["value"] == pytest.approx(np.interp(30, sizes, accuracy), abs=0.03)
    assert list(report["worth"]) == list(report["expected"]) == ["mcc", "source_only"]
    for amount in report["worth"].values():
        assert amount["low"] is None or amount["low"] <= sizes[-1], "the curve reaches what the models are thought to"
    said = acclimate("label-plan", tmp_path / "run", "-n", 30, "-o", tmp_path / "plan.csv", "--force").err
    assert "rough guide" in said and "30 labels alone" in said and "what mcc gives is worth" in said


def test_numbers_have_a_plan_too(acclimate, write_csv, tmp_path):
    values = np.random.default_rng(0).normal(size=(80, 2))
    source = write_csv(tmp_path / "s.csv", "x,y", [f"{a:.4f},{2 * a + b / 9:.4f}" for a, b in values])
    target = write_csv(tmp_path / "t.csv", "x", [f"{a + 1:.4f}" for a, _ in values])
    words = ("--source", source, "--target", target, "--label", "y", "--input", "x", "--task", "regress", "--quiet")
    assert acclimate("adapt", *words, "--set", "training.steps=20", "-o", tmp_path / "run").code == 0
    done = acclimate("label-plan", tmp_path / "run", "-n", 5, "-o", tmp_path / "plan.csv", "--json")
    assert done.code == 0 and done.json["curve"] is None
    found = rows(tmp_path / "plan.csv")
    assert list(found[0]) == ["row", "x", "y", "why", "score"]
    assert found[0]["why"].startswith("arms say ")
    more = write_csv(tmp_path / "more.csv", "x,y", [f"{a + 1:.3f},{2 * a:.3f}" for a, _ in values])
    assert acclimate("evaluate", tmp_path / "run", "--data", more, "--label", "y").code == 0
    again = acclimate("label-plan", tmp_path / "run", "-n", 5, "-o", tmp_path / "again.csv", "--json")
    assert again.code == 0 and again.json["expected"] == {}


def test_a_target_with_names_of_its_own(acclimate, points, write_csv, tmp_path):
    source = write_csv(tmp_path / "s.csv", "x0,x1,label", points(60))
    target = write_csv(tmp_path / "t.csv", "u,v,label", points(60, where="target"))
    words = ("--source", source, "--target", target, "--label", "label", "--input", "x0", "--input", "x1", "--quiet")
    renamed = ("--target-input", "u", "--target-input", "v", "--backbone", "mlp", "--set", "training.steps=5")
    assert acclimate("adapt", *words, *renamed, "-o", tmp_path / "run").code == 0
    assert acclimate("label-plan", tmp_path / "run", "-n", 5, "-o", tmp_path / "plan.csv").code == 0
    for row in rows(tmp_path / "plan.csv"):
        there = rows(target)[int(row["row"])]
        assert (row["u"], row["v"], row["label"]) == (there["u"], there["v"], "")


def test_several_sources_from_python(points, write_csv, tmp_path):
    tables = [write_csv(tmp_path / f"{k}.csv", "x0,x1,label", points(40, seed=k)) for k in range(3)]
    *sources, target = [ac.read(pd.read_csv(path), input=["x0", "x1"], label="label") for path in tables]
    run = ac.adapt(sources, target.sealed(), backbone="mlp", method="dann", training={"steps": 5}, out=tmp_path / "run")
    report = run.label_plan(4, tmp_path / "plan.csv", source=sources, target=target.sealed())
    assert report["rows"] == 4 == len(rows(tmp_path / "plan.csv"))


def test_what_cannot_be_planned(acclimate, run, tables, tmp_path):
    out = tmp_path / "plan.csv"
    assert acclimate("label-plan", run, "-n", 0, "-o", out).code == 2
    assert acclimate("label-plan", tmp_path / "nothing", "-o", out).code == 3
    assert acclimate("label-plan", run, "-o", tmp_path / "plan.docx").code == 2
    words = ("--source", tables / "source.csv", "--label", "label", "--input", "a", "--input", "b", "--quiet")
    model = ("--backbone", "mlp", "--set", "training.steps=5")
    assert acclimate("adapt", *words, *model, "-o", tmp_path / "alone").code == 0
    done = acclimate("label-plan", tmp_path / "alone", "-o", out)
    assert done.code == 3 and "no target" in done.err
    assert not out.exists()
