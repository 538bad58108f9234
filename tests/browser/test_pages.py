"""Pages as a person sees them, on a phone and on a desk, in light and in dark."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import acclimate as ac
from acclimate.domains.sample import toy_shift
from acclimate.runs.report.sections import write_section

PHONE, DESK = 390, 1280
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 2


@pytest.fixture(scope="module")
def pages(tmp_path_factory, reports, chromium, cache_of_tests) -> Callable[[str], Path]:
    """Pages by name: ``sealed``, ``opened`` (in Chinese), ``texts`` (of awkward ones), ``runs``, which compares, and
    ``words`` and ``columns``, which explain.
    """
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache_of_tests))
        source, target, labels = toy_shift(100)
        sealed = ac.adapt(source, target, out=folder / "sealed", training={"steps": 80}, method="shot")
        opened = ac.Run(shutil.copytree(sealed.folder, folder / "opened"))
        opened.evaluate(replace(target, labels=labels, schema=source.schema))
        _examined(opened.folder)
        other = shutil.copytree(opened.folder, folder / ("other-" + "long-" * 12))
        texts = _texts(folder / "texts")
        for name, run, rows in (("words", texts, _rows()), ("columns", sealed, target)):
            ac.explain(run, rows, out=folder / name, limit=4)
        found = {
            "sealed": ac.report(sealed),
            "opened": ac.report(opened, lang="zh"),
            "texts": ac.report(texts),
            "runs": ac.report([opened, other], out=folder / "runs.html"),
            **{name: folder / name / "explanations.html" for name in ("words", "columns")},
        }
    return found.__getitem__


def _examined(folder: Path) -> None:
    """Sections such as other parts of the program write."""
    groups = {"rows": ["women", "men"], "columns": ["source", "target"], "values": [[0.81, None], [0.84, 0.7]]}
    figure = {"kind": "heatmap", "caption": "Accuracy by group and domain", **groups}
    table = {"columns": ["group", "rows", "accuracy"], "rows": [["women", 1200, 0.81], ["men", 1300, 0.84]]}
    said = {"title": "Groups", "summary": "One group has fewer right answers.", "level": "caution"}
    write_section(folder, {"name": "groups", **said, "figure": figure, "table": table})


def _texts(folder: Path) -> ac.Run:
    """A run on `_rows`."""
    frame = _rows()
    source, target = frame.iloc[:80], frame.iloc[80:].drop(columns="label")
    run = ac.adapt(source, target, input="text", label="label", method="shot", training={"steps": 20}, out=folder)
    run.evaluate(frame.iloc[80:], label="label")
    return run


def _rows() -> pd.DataFrame:
    """Texts from right to left, of one long word, and with markup."""
    rng = np.random.default_rng(0)
    kinds = ["هذا الهاتف جيد جدا ولكنه غالي", LONG, "<script>document.title = 'gone'</script> phone", "a plain phone"]
    rows = [f"{kinds[k % 4]} {' '.join(rng.choice(['good', 'bad', 'fine', 'poor'], 3))} {k}" for k in range(120)]
    return pd.DataFrame({"text": rows, "label": rng.choice(["جيد", "not so good at all, really"], 120)})


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("name", ["sealed", "opened", "texts", "runs", "words", "columns"])
def test_a_page_is_whole_and_readable(look, pages, name, width, dark):
    found = look(pages(name), width, dark)
    assert found["said"] == []
    assert found["wide"] <= 0, "the page is wider than the window"
    assert found["overlaps"] == []
    assert found["faint"] == [], "contrast below 4.5"
    assert found["texts"] > 50 and found["empty"] == 0
    assert found["pictures"] >= {"sealed": 6, "opened": 8, "texts": 3, "runs": 1, "words": 2, "columns": 2}[name]


def test_what_looks_for_faults_finds_them(look, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        "<body style='background:#fff'><p style='color:#bbb'>faint</p><p style='margin-top:-34px'>over the other</p>"
        "<p style='width:2000px'>wide</p><figure><svg width=5 height=5></svg></figure>"
        "<script>console.log('said')</script>"
    )
    found = look(page, PHONE)
    assert len(found["faint"]) == 1 and len(found["overlaps"]) == 1
    assert found["wide"] > 1000 and found["empty"] == 1 and found["said"] == ["said"]


def test_markup_in_a_row_is_not_run(chromium, pages):
    tab = chromium.new_page()
    tab.goto(pages("texts").as_uri())
    assert tab.title() == "texts: report"
    assert "<script>document.title" in tab.inner_text("main")


def test_the_keyboard_reaches_the_content_first(chromium, pages):
    tab = chromium.new_page()
    tab.goto(pages("sealed").as_uri())
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.getAttribute('href')") == "#main"
    assert tab.evaluate("document.activeElement.getBoundingClientRect().left") >= 0


def test_on_paper_the_page_is_light(chromium, pages):
    context = chromium.new_context(color_scheme="dark")
    tab = context.new_page()
    tab.goto(pages("sealed").as_uri())
    dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.emulate_media(media="print")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)" != dark
    assert not tab.is_visible("nav.contents")
    assert len(tab.pdf()) > 10_000
