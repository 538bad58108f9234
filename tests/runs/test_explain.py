"""Explanations of a run: what is written, what is refused, and that no label is read."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import acclimate as ac
from acclimate.cli.main import main
from acclimate.errors import DataError, SettingsError
from acclimate.files import read_json


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    """A run on rows in which the column ``dose`` alone decides, and the file of its target."""
    import pandas as pd

    folder = tmp_path_factory.mktemp("explain")
    rng = np.random.default_rng(0)
    for name, n in (("source", 160), ("target", 40)):
        frame = pd.DataFrame(
            {"age": rng.normal(40, 9, n), "dose": rng.normal(size=n), "ward": rng.choice(["a", "b"], n)}
        )
        frame["label"] = np.where(frame["dose"] > 0, "ill", "well")
        frame.to_csv(folder / f"{name}.csv", index=False)
    run = ac.adapt(
        str(folder / "source.csv"), str(folder / "target.csv"), input=["age", "dose", "ward"], label="label",
        backbone="columns", method="source_only", plain_baseline=False, out=folder / "run",
    )  # fmt: skip
    return folder, run


def test_the_column_that_decides_is_found_and_believed(world, tmp_path):
    folder, run = world
    value = ac.explain(run, folder / "target.csv", out=tmp_path, limit=12)
    assert [max(row["parts"], key=lambda part: part["score"])["name"] for row in value["rows"]].count("dose") >= 10
    assert [row["prediction"] for row in value["rows"]] == list(run.predict(folder / "target.csv")["prediction"][:12])
    found = value["faithfulness"]
    assert found["better_than_random"] == "yes" and found["follows_weights"] == "yes"
    for row in value["rows"]:
        added = sum(part["score"] for part in row["parts"])
        assert added == pytest.approx(row["score"] - row["score_without_parts"], abs=1e-3)
    assert read_json(tmp_path / "explanations.json") == value
    assert "the first 12 of 40 rows" in value["notes"][0]


def test_the_page_is_one_file_and_the_report_has_a_section(world, tmp_path):
    folder, run = world
    ac.explain(run, folder / "target.csv", out=tmp_path, rows=[7, 3, 7, 1], lang="zh")
    page = (tmp_path / "explanations.html").read_text(encoding="utf-8")
    assert "该类别的对数几率" in page and "log-odds" not in page
    assert 'lang="zh-Hans"' in page and "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert page.count('<li class="columns">') == 3
    section = read_json(run.folder / "trust" / "explain.json")
    assert section["level"] in ("good", "caution") and [row[0] for row in section["table"]["rows"]] == ["7", "3", "1"]
    assert "dose" in section["table"]["rows"][0][2]


def test_another_class_is_explained_the_other_way_round(world, tmp_path):
    folder, run = world
    ill, well = (ac.explain(run, folder / "target.csv", out=tmp_path, limit=3, answer=name) for name in ("ill", "well"))
    for a, b in zip(ill["rows"], well["rows"], strict=True):
        assert a["score"] == pytest.approx(-b["score"], abs=1e-4)
        assert [part["score"] for part in a["parts"]] == pytest.approx(
            [-part["score"] for part in b["parts"]], abs=1e-4
        )


def test_labels_in_the_data_change_nothing(world, tmp_path):
    folder, run = world
    before = ac.explain(run, folder / "target.csv", out=tmp_path / "a", limit=4)
    text = (folder / "target.csv").read_text()
    poisoned = text.replace("ill", "x").replace("well", "ill").replace("x", "well")
    assert poisoned != text
    (tmp_path / "target.csv").write_text(poisoned)
    assert ac.explain(run, tmp_path / "target.csv", out=tmp_path / "b", limit=4) == before


def test_equal_seeds_give_equal_explanations(world, tmp_path):
    folder, run = world
    one, two = (ac.explain(run, folder / "target.csv", out=tmp_path, limit=4, seed=5) for _ in range(2))
    assert one == two


def test_what_tells_the_domains_of_a_run_apart(world, tmp_path):
    """Those of the run are alike; of the file that is named instead one column is elsewhere."""
    import pandas as pd

    folder, run = world
    value = ac.explain_domains(run, out=tmp_path / "own", limit=16)
    assert "cannot tell the domains apart" in value["said"][0] and value["gap"]["rows"] == 32
    moved = pd.read_csv(folder / "target.csv").assign(age=lambda frame: frame["age"] + 40)
    moved.to_csv(tmp_path / "moved.csv", index=False)
    value = ac.explain_domains(run, target=tmp_path / "moved.csv", out=tmp_path, limit=16)
    assert value["parts"][0]["name"] == "age" and "most by age" in value["said"][0]
    assert [row["domain"] for row in value["rows"]] == ["source", "target"] * 8
    assert read_json(tmp_path / "domains.json") == value
    assert "tells apart by" in (tmp_path / "domains.html").read_text(encoding="utf-8")
    assert read_json(run.folder / "trust" / "domains.json")["table"]["rows"][0][0] == "age"
    with pytest.raises(DataError, match="lower --limit"):
        ac.explain_domains(run, out=tmp_path, limit=70)


def test_what_is_refused(world, tmp_path):
    folder, run = world
    data = folder / "target.csv"
    with pytest.raises(DataError, match="no row 40; its 40 rows are 0 to 39"):
        ac.explain(run, data, out=tmp_path, rows=[0, 40])
    with pytest.raises(SettingsError, match="--limit"):
        ac.explain(run, data, out=tmp_path, limit=0)
    with pytest.raises(SettingsError, match="unknown class 'il'"):
        ac.explain(run, data, out=tmp_path, answer="il")
    (tmp_path / "other.csv").write_text("age,ward\n3,a\n")
    with pytest.raises(DataError, match="dose"):
        ac.explain(run, tmp_path / "other.csv", out=tmp_path)
    (tmp_path / "empty.csv").write_text("age,dose,ward\n")
    with pytest.raises(DataError, match="no rows"):
        ac.explain(run, tmp_path / "empty.csv", out=tmp_path)
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "recipe.yaml").write_text("source: [x.csv]\n")
    with pytest.raises(DataError, match="unfinished"):
        ac.explain(tmp_path / "unfinished", data, out=tmp_path)


def test_on_the_command_line(world, tmp_path, capsys):
    folder, run = world
    words = ["explain", str(run.folder), "--data", str(folder / "target.csv"), "-o", str(tmp_path)]
    assert main([*words, "--rows", "0,5,9"]) == 0
    out = capsys.readouterr()
    assert "these explanations" in out.out.lower() and "dose" in out.out and "page: " in out.out
    assert out.err.strip().splitlines()[-1] == "explaining: 100 %"
    assert main([*words, "--limit", "2", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert len(value["rows"]) == 2 and value["faithfulness"]["better_than_random"] == "unknown"
    assert main([*words, "--rows", "0;5"]) == 2
    assert "numbers with commas" in capsys.readouterr().err
    assert main([*words, "--kind", "domains", "--target", str(folder / "source.csv"), "--limit", "10"]) == 0
    assert "domains.html" in capsys.readouterr().out
    assert main(words[:2]) == 2
    assert "--data" in capsys.readouterr().err
