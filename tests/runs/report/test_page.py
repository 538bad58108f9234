"""The page of a run: what it says before and after the seal is opened, in both languages, with markup from data."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

import acclimate as ac
from acclimate.errors import SettingsError
from acclimate.files import read_json
from acclimate.runs.pick import UNRANKED
from acclimate.runs.report import chinese, english, parts
from acclimate.runs.report.blocks import called
from acclimate.runs.report.make import careful
from acclimate.runs.report.sections import write_section
from acclimate.runs.report.told import FORMS, in_chinese
from acclimate.runs.report.verdict import _next
from acclimate.runs.report.words import Words, percent

PARTS = ["honesty", "gap", "arms", "trust", "changed", "again"]


class Reader(HTMLParser):
    """Tags, ids and visible text of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.said: list[str] = []
        self._hidden = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._hidden += tag == "style"

    def handle_endtag(self, tag):
        self._hidden -= tag == "style"

    def handle_data(self, data):
        if not self._hidden:
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())

    def named(self, tag: str) -> list[dict[str, Any]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def sealed(toy) -> tuple[ac.Run, Reader]:
    run, _ = toy()
    return run, Reader((run.folder / "report.html").read_text("utf-8"))


@pytest.fixture(scope="module")
def opened(toy) -> tuple[ac.Run, dict[str, Any], Reader]:
    run, target = toy(flip=True)  # so that the other one stays sealed
    found = run.evaluate(str(target), label="label")
    return run, found, Reader((run.folder / "report.html").read_text("utf-8"))


def test_sections_stand_in_order_and_every_id_is_unique(sealed):
    _, page = sealed
    assert [attrs["id"] for attrs in page.named("section") if "id" in attrs] == PARTS
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert not {name for name in ids if ids.count(name) > 1}
    known = {attrs["href"][1:] for attrs in page.named("a")} | {
        word for _, attrs in page.tags for word in (attrs.get("aria-labelledby") or "").split()
    }
    assert known <= set(ids)


def test_the_page_is_one_file_without_scripts(sealed):
    run, page = sealed
    assert not page.named("script")
    places = [attrs.get(key) for tag, attrs in page.tags if tag != "a" for key in ("src", "href", "xlink:href")]
    assert all(place.startswith(("data:", "#")) for place in places if place)
    assert (run.folder / "report.html").stat().st_size < 2_000_000


def test_pictures_have_titles_and_tables_captions(sealed):
    _, page = sealed
    drawn = [attrs for attrs in page.named("svg") if attrs.get("role") == "img"]
    assert len(drawn) >= 5 and len(page.named("title")) == 1 + sum("aria-labelledby" in attrs for attrs in drawn)
    assert len(page.named("caption")) == len(page.named("table")) >= 4
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.named("th"))


def test_headings_go_down_one_level_at_a_time(opened):
    levels = [int(tag[1]) for tag, _ in opened[2].tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_markup_from_data_is_shown_and_not_run(sealed, opened):
    for page in (sealed[1], opened[2]):
        assert "<b>x0</b>" in page.text and 'alert("x")' in page.text
        assert not page.named("b") and not page.named("script")


def test_before_the_seal_is_opened_the_page_decides_and_says_that_nothing_is_measured(sealed):
    run, page = sealed
    assert Words()(f"verdict.{run.decision}") in page.text
    assert Words()("honesty.sealed") in page.text and "acclimate evaluate run --data" in page.text


def test_a_run_is_called_as_a_command_would_call_it(tmp_path, monkeypatch):
    run = tmp_path / "my runs" / "one"
    monkeypatch.chdir(tmp_path)
    assert called(run) == "'my runs/one'" and called(Path("my runs/one")) == "'my runs/one'"
    monkeypatch.chdir(tmp_path.parent)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert called(run) == "one" and called(Path(".")) == "elsewhere"


def test_the_verdict_is_that_of_the_evaluation_with_its_figures(opened):
    run, found, page = opened
    arms = {row["name"]: row["target"] for row in run.result["arms"]}
    difference = arms["shot"]["differences"]["accuracy"]
    assert found["verdict"] in ("helped", "hurt")
    assert Words()(f"badge.{found['verdict']}") in page.text
    for value in (arms["source_only"]["metrics"]["accuracy"], arms["shot"]["metrics"]["accuracy"]):
        assert f"{value:.3f}" in page.text
    assert f"{abs(difference['value']):.3f}" in page.text and Words()("honesty.sealed") not in page.text


def test_mended_and_broken_rows_add_up_to_the_difference(opened):
    run, _, page = opened
    changed = read_json(run.folder / "report.json")["opened"]["changed"]
    arms = {row["name"]: row["target"] for row in run.result["arms"]}
    gained = (arms["shot"]["metrics"]["accuracy"] - arms["source_only"]["metrics"]["accuracy"]) * 120
    assert changed["mended"] - changed["broken"] == round(gained)
    for one in changed["examples"]:
        right = {"mended": one["after"], "broken": one["before"]}
        assert one["truth"] == right.get(one["effect"], one["truth"])
    assert f"mended {changed['mended']} and broke {changed['broken']}" in page.text


def test_the_calibration_error_is_that_of_the_evaluation(opened):
    run, found, _ = opened
    kept = read_json(run.folder / "report.json")["opened"]["reliability"][run.result["model"]]
    assert kept["rows"] == 120 and kept["ece"] == pytest.approx(found["metrics"]["ece"], abs=0.02)


def test_chinese_says_everything_in_chinese(sealed):
    run, page = sealed
    own = Reader(ac.report(run, lang="zh").read_text("utf-8"))
    assert own.named("html")[0]["lang"] == "zh-Hans"
    sentences = [said for said in english.WORDS.values() if "{" not in said and len(said) > 25]
    assert sum(said in page.text for said in sentences) > 8 and not [said for said in sentences if said in own.text]
    assert len(own.named("svg")) == len(page.named("svg"))
    assert read_json(run.folder / "report.json")["language"] == "zh"
    ac.report(run, lang="en")


def test_both_languages_have_the_same_sentences_with_the_same_values():
    assert set(english.WORDS) == set(chinese.WORDS)
    for key, said in english.WORDS.items():
        values = [set(re.findall(r"\{(\w+)\}", text)) for text in (said, chinese.WORDS[key])]
        assert values[0] == values[1], key


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        (UNRANKED, "没有标签时，非类别的答案无从排序：保留源模型；用带标签的行评估时会列出所有候选"),
        ("coral wins more label-free scores than it loses", "在无需标签的评分上，coral 赢多输少"),
        (
            "a is not shown to beat a constant answer on the source's validation rows: "
            "accuracy 0.5 (95 % interval 0.4 to 0.6) against 0.5",
            "没有证据表明 a 在源域验证行上优于恒定预测：accuracy 为 0.5（95% 区间 0.4 至 0.6），恒定预测为 0.5",
        ),
        ("a collapses on the target: b", "a 在目标域上的预测塌缩了：b"),
        (
            "source and target differ (AUC 0.71, p 4e-36): weighted towards the target, 450 held-out rows are worth 6",
            "源域与目标域有差别（AUC 0.71，p = 4e-36）：450 个留出样本按目标域加权后，只相当于 6 个",
        ),
        ("nobody has written this sentence yet", None),
    ],
)
def test_sentences_of_the_run_are_told_in_chinese(sentence, told):
    assert in_chinese(sentence) == told


def test_every_form_names_only_what_it_finds():
    for form, said in FORMS:
        count = re.compile(form).groups
        assert all(int(number) < count for number in re.findall(r"\{(\d)\}", said)), form


def test_sections_of_others_are_shown_whatever_they_are_of(sealed):
    run, _ = sealed
    kinds: dict[str, dict[str, Any]] = {
        "lines": {
            "series": [{"name": "a", "x": [0, 1], "y": [0, None], "low": [0, 0], "high": [1, 1]}],
            "diagonal": True,
        },
        "scatter": {"series": [{"name": "a", "x": [0, 1], "y": [0, 1]}]},
        "bars": {"labels": ["<i>one</i>"], "series": [{"name": "a", "values": [1], "low": [0.5], "high": [1.5]}]},
        "dots": {"labels": ["one"], "series": [{"name": "a", "values": [1], "low": [None], "high": [None]}]},
        "heatmap": {"rows": ["one"], "columns": ["two"], "values": [[0.5]]},
    }
    for kind, figure in kinds.items():
        words = {"en": f"About {kind}", "zh": f"关于{kind}"}
        table = {"columns": ["what", "n"], "rows": [["<u>all</u>", 1234], ["few", None]]}
        value = {
            "title": words,
            "summary": "Fine.",
            "level": "good",
            "figure": {"kind": kind, **figure},
            "table": table,
        }
        write_section(run.folder, {"name": kind, **value})
    before = (run.folder / "report.html").read_text("utf-8")
    page = Reader(ac.report(run).read_text("utf-8"))
    assert len(page.named("svg")) == len(Reader(before).named("svg")) + 5
    assert "About heatmap" in page.text and "1,234" in page.text and not page.named("u") and not page.named("i")
    (run.folder / "trust" / "broken.json").write_text("{", "utf-8")
    assert "broken.json: not readable" in Reader(ac.report(run).read_text("utf-8")).text
    for path in (run.folder / "trust").iterdir():
        path.unlink()


def test_a_run_that_kept_nothing_has_a_page_all_the_same(toy, tmp_path, monkeypatch, numbers):
    monkeypatch.setenv("ACCLIMATE_REPORT", "no")
    source, target, _ = numbers()
    run = ac.adapt(source, target, method="source_only", training={"steps": 2}, out=tmp_path / "run")
    assert not (run.folder / "report.html").exists() and not (run.folder / "report.json").exists()
    page = Reader(ac.report(run).read_text("utf-8"))
    assert Words()("gap.lead.nothing") in page.text and Words()("changed.nothing") in page.text


def test_a_report_that_fails_leaves_the_run_whole():
    with (
        pytest.warns(UserWarning, match="no report: ZeroDivisionError: division by zero; the run is whole without it"),
        careful(),
    ):
        print(1 / 0)


def test_another_language_is_refused(sealed):
    with pytest.raises(SettingsError, match="--lang fr: expected one of en, zh"):
        ac.report(sealed[0], lang="fr")


def test_shares_are_never_rounded_to_all_or_nothing():
    assert [percent(value) for value in (0, 0.004, 0.5, 0.99991, 1)] == [
        "0\u00a0%", "0.4\u00a0%", "50\u00a0%", ">\u00a099.9\u00a0%", "100\u00a0%"
    ]  # fmt: skip


def test_the_card_is_what_the_hub_reads(opened, sealed):
    run, found, _ = opened
    _, header, body = (run.folder / "model" / "README.md").read_text("utf-8").split("---\n", 2)
    card = yaml.safe_load(header)
    assert card["library_name"] == "acclimate" and card["pipeline_tag"] == "tabular-classification"
    assert {"domain-adaptation", "classify", "table"} <= set(card["tags"])
    metrics = card["model-index"][0]["results"][0]["metrics"]
    told = {each["type"]: each["value"] for each in metrics}
    assert told["accuracy"] == pytest.approx(found["metrics"]["accuracy"], abs=1e-6)
    assert "<script>" not in body and "&lt;b" not in header and f"accuracy | {found['metrics']['accuracy']:.3f}" in body
    closed = yaml.safe_load((sealed[0].folder / "model" / "README.md").read_text("utf-8").split("---\n")[1])
    assert "model-index" not in closed


def test_too_few_rows_for_a_gap_are_told_as_such():
    """There is a picture, and no figure beside it."""
    view = {"gap": None}
    assert parts._apart([view], Words()) == [
        "There are too few rows to measure how well the domains can be told apart."
    ]
    assert parts._apart([], Words("zh")) == ["没有保留可供作图的特征。"]


def test_an_arm_that_labels_spoke_for_and_that_is_not_deployed_is_offered():
    value = {"verdict": "helped", "decision": "keep_source", "model": "source_only", "adapted": "mcc:strength=0.3"}
    place = "acclimate predict runs/a/arms/mcc,strength=0.3 --data"
    words = Words("en")
    assert any(place in command for _, command in _next({**value, "data": {}}, Path("runs/a"), words))
    for other in ({"model": value["adapted"], "decision": "adapt"}, {"verdict": "hurt"}):
        assert not any(place in command for _, command in _next({**value, "data": {}, **other}, Path("runs/a"), words))
