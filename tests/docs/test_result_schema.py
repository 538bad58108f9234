from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import acclimate as ac
from acclimate.domains.sample import toy_shift
from acclimate.runs.inspect import inspect
from acclimate.runs.recipe import parse

PAGE = Path(__file__).parents[2] / "docs" / "result.md"
QUICK = {"steps": 6, "accumulate": 2, "keep": "source"}


def documented(part: str) -> dict[str, str]:
    """Path to type, of the part of the page that begins with this heading."""
    text = PAGE.read_text(encoding="utf-8")
    begin = text.index(f"# {part}\n")
    end = text.find("\n# ", begin + 1)
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", text[begin : None if end < 0 else end], flags=re.MULTILINE)
    return {path: kind.strip() for path, kind in rows}


def paths(value: Any, maps: set[str], at: str = "") -> Iterator[str]:
    """Every path of a JSON value; what is below a map is free."""
    if at:
        yield at.removesuffix("[]")
    if at in maps:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, maps, f"{at}.{key}" if at else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from paths(inner, maps, f"{at}[]")


def found(values: list[dict[str, Any]], page: dict[str, str]) -> set[str]:
    maps = {path for path, kind in page.items() if kind == "map"}
    return {path for value in values for path in paths(value, maps)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Results of runs of every kind, and evaluations of the first two."""
    folder = tmp_path_factory.mktemp("runs")
    source, target, answers = toy_shift(120)
    labelled = replace(target, labels=answers, schema=source.schema)
    first, second = np.arange(60), np.arange(60, 120)
    plain = ac.adapt(source, target, method="dann", training=QUICK, out=folder / "plain")
    brief = ac.adapt(source, training=QUICK | {"steps": 10**7}, budget=0.2, out=folder / "brief")
    permitted = ac.adapt(
        source, labelled.select(first), target_label="label", method="joint", training=QUICK, out=folder / "permitted"
    )
    evaluations = [plain.evaluate(labelled), permitted.evaluate(labelled.select(second))]
    stated = {"0": 0.5, "1": 0.5}
    closed = {
        "name": "auto",
        "top": 2,
        "candidates": ("importance_weighting", "mlls", "bbse", "adabn", "coral", "mcc", "bnm", "bnm:strength=3"),
    }
    auto = ac.adapt(
        source, target, method=closed, backbone="columns", training={"steps": 6}, target_shares=stated,
        out=folder / "auto",
    )  # fmt: skip
    several = ac.adapt([source, source.select(first)], target, method="dann", training=QUICK, out=folder / "several")
    frame = pd.DataFrame({"a": np.arange(60.0), "b": np.arange(60.0) % 7, "label": np.arange(60) % 2})
    columns = {"input": ["a", "b"], "label": "label"}
    people = {"sensitive": "sex", "out": folder / "narrow", **columns}
    known = frame.assign(sex=np.where(np.arange(60) % 3, "a", "b"))
    narrow = ac.adapt(known, frame[["a"]] + 1, method="dann", training=QUICK, **people)
    numbers = frame.assign(label=frame["a"] / 7)
    amounts = ac.adapt(numbers, numbers + 1, method="joint", backbone="columns", target_label="label",
                       out=folder / "amounts", **columns)  # fmt: skip
    private = ac.adapt(source, target, method="dann", training={"steps": 6, "batch_size": 16}, out=folder / "private",
                       privacy={"epsilon": 8, "delta": 1e-3})  # fmt: skip
    runs = (plain, permitted, auto, brief, several, narrow, amounts, private)
    return [run.result for run in runs], evaluations


def test_every_key_of_the_result_is_documented_and_the_other_way_round(runs: Any) -> None:
    page = documented("result.json") | {"seal": "object", "data": "object"}
    assert found(runs[0], page) == set(page)


def test_every_key_of_an_evaluation_is_documented_and_the_other_way_round(runs: Any) -> None:
    page = documented("evaluate --json")
    assert found(runs[1], page) == set(page)


def test_every_key_of_an_inspection_is_documented_and_the_other_way_round() -> None:
    source, target, _ = toy_shift(120)
    page = documented("inspect --json")
    assert found([inspect(parse({}), source=[source], target=[target])], page) == set(page)


def test_the_version_on_the_page_is_the_one_written(runs: Any) -> None:
    assert {value["version"] for value in runs[0]} == {1}
    assert "version, `1`" in PAGE.read_text(encoding="utf-8")


def test_the_words_on_the_page_are_the_ones_written(runs: Any) -> None:
    plain, permitted, auto, *_ = runs[0]
    assert (plain["setting"], permitted["setting"]) == ("transductive", "inductive")
    assert plain["permission"] is None and permitted["permission"] == "label"
    assert plain["transductive"] is True and permitted["transductive"] is False
    assert {row["role"] for row in plain["arms"]} == {"reference", "adapted", "plain"}
    assert {row["role"] for row in auto["arms"]} == {"reference", "adapted", "candidate"}


def test_every_key_of_a_meta_training_is_documented_and_the_other_way_round(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(240, 4)).astype(np.float32)
    old, new = (
        ac.read((values[k::2], np.repeat([f"{k} {c}" for c in range(12)], 10)), label="label") for k in range(2)
    )
    shape = {"ways": 3, "queries": 4, "training": {"steps": 2}, "label": "label"}
    run = ac.meta_train(old, **shape, backbone="mlp", precision="fp32", out=tmp_path / "m")
    run.evaluate(new, episodes=4)
    page = documented("meta.json")
    assert found([run.result], page) == set(page)
    assert run.result["version"] == 1
