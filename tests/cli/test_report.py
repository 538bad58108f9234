"""``acclimate report`` as a user meets it."""

from __future__ import annotations

import json
import shutil

import pytest


@pytest.fixture
def evaluated(acclimate, run, tables):
    assert acclimate("evaluate", run, "--data", tables / "test.csv", "--label", "label", "--quiet").code == 0
    return run


def test_the_verdict_and_the_page_are_printed(acclimate, run):
    done = acclimate("report", run)
    assert done.code == 0 and done.out.splitlines()[-1] == f"report: {run}/report.html"
    assert (run / "report.html").read_text("utf-8").startswith("<!doctype html>")
    assert done.out.splitlines()[0] in (run / "report.html").read_text("utf-8")
    told = acclimate("report", run, "--lang", "zh")
    assert '<html lang="zh-Hans">' in (run / "report.html").read_text("utf-8")
    assert told.code == 0 and not told.out.isascii()


def test_adapt_and_evaluate_say_where_the_page_is(acclimate, columns, tables, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCLIMATE_REPORT", "yes")
    folder = tmp_path / "run"
    words = ("--method", "source_only", "--backbone", "mlp", "--set", "training.steps=5", "-o", folder)
    assert f"report: {folder}/report.html" in acclimate("adapt", *columns, *words).err
    assert f"report: {folder}/report.html" in acclimate("evaluate", folder, "--data", tables / "test.csv").err


def test_several_runs_on_the_same_rows_are_compared(acclimate, evaluated, tmp_path):
    other = shutil.copytree(evaluated, tmp_path / "other")
    result = json.loads((other / "result.json").read_text())
    for row in result["arms"]:
        row["target"]["metrics"]["accuracy"] = 1.0
        row["target"]["intervals"]["accuracy"] = [0.99, 1.0]
    (other / "result.json").write_text(json.dumps(result))
    page = tmp_path / "both.html"
    found = acclimate("report", evaluated, other, "-o", page, "--json").json
    assert found["report"] == str(page) and [row["run"] for row in found["runs"]] == [str(evaluated), str(other)]
    text = page.read_text("utf-8")
    assert "The best figure is that of other, accuracy 1.000." in text and "same 100 rows" in text
    lines = acclimate("report", evaluated, other, "-o", page).out.splitlines()
    assert lines[0].split()[:2] == ["run", "method"] and lines[2].split()[4] == "1.000"


def test_runs_on_other_rows_are_not_compared(acclimate, evaluated, tables, tmp_path):
    other = shutil.copytree(evaluated, tmp_path / "other")
    words = ("--data", tables / "source.csv", "--label", "label", "--force", "--quiet")
    assert acclimate("evaluate", other, *words).code == 0
    page = tmp_path / "both.html"
    assert acclimate("report", evaluated, other, "-o", page).code == 0
    text = page.read_text("utf-8")
    assert "figures of different rows cannot be compared" in text and "The best figure" not in text


def test_a_sealed_run_is_never_the_best(acclimate, run, evaluated, finished, tmp_path):
    page = tmp_path / "both.html"
    acclimate("report", finished, shutil.copytree(finished, tmp_path / "again"), "-o", page)
    assert "none can be called the best" in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("nowhere",), 3, "nowhere: no run there"),
        (("RUN", "-o", "page.html"), 2, "-o is for several runs side by side"),
        (("RUN", "nowhere"), 3, "nowhere: no run there"),
        (("RUN", "--lang", "fr"), 2, "unknown lang 'fr'; known: en, zh"),
        ((), 2, "RUN"),
    ],
)
def test_what_has_no_page_is_refused_with_the_reason(acclimate, run, words, code, told):
    done = acclimate("report", *(run if word == "RUN" else word for word in words))
    assert done.code == code and told in done.err and not done.out


def test_an_unfinished_run_names_the_way_on(acclimate, run):
    (run / "result.json").unlink()
    done = acclimate("report", run)
    assert done.code == 3 and f"it is not finished; `acclimate resume {run}` continues it" in done.err
