"""One file in which a column tells sites apart says what several sources say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from acclimate.errors import DataError, SettingsError
from acclimate.runs.reading import read_source, read_target
from acclimate.runs.recipe import parse


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60), "b": rng.normal(size=60), "ward": np.arange(60) % 2})
    frame["site"] = np.array(["x&y", "north", "south"])[np.arange(60) % 3]
    frame["ill"] = (frame.a > 0).astype(int)
    frame.to_csv(tmp_path / "all.csv", index=False)
    return tmp_path / "all.csv"


def read(table, sources, targets=(), **options):
    recipe = parse({"source": sources, "target": targets, "input": "*", "label": "ill", **options})
    return recipe, read_source(recipe)


def test_each_site_but_the_targets_is_a_source(table):
    target = f"{table}?site=south"
    recipe, found = read(table, [table], [target], site="site")
    _, spelled = read(table, [f"{table}?site=north", f"{table}?site=x%26y"])
    assert found.name == spelled.name and found.schema == spelled.schema
    assert found.fingerprint == spelled.fingerprint and found.origin.tolist() == spelled.origin.tolist()
    assert found.schema.inputs == ("a", "b", "ward")
    there = read_target(recipe, found)
    assert len(there) == 20 and not set(there.ids) & set(found.ids)


@pytest.mark.parametrize("target", ["?site!=north", "?site=south&site=x%26y", "?site=south&site=x%26y&ward=1"])
def test_no_label_of_a_site_that_the_target_shows_is_read(table, target):
    _, found = read(table, [table], [f"{table}{target}"], site="site")
    assert found.name == "all.csv?site=north" and found.origin is None


def test_a_selection_and_other_files_stay(table, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text(table.read_text().replace("north", "island"))
    _, found = read(table, [f"{table}?ward=1&site!=south", other], [f"{other}?site=island"], site="site")
    assert found.name == " + ".join(
        f"{name}?{query}"
        for name, query in [("all.csv", "ward=1&site=north"), ("all.csv", "ward=1&site=x%26y"),
                            ("other.csv", "site=south"), ("other.csv", "site=x%26y")]
    )  # fmt: skip
    assert np.bincount(found.origin).tolist() == [10, 10, 20, 20]


def test_arrays_have_sites_too(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(12.0).reshape(6, 2), ill=[0, 1] * 3, site=[3, 3, 1, 1, 2, 2])
    _, found = read(None, [tmp_path / "a.npz"], [f"{tmp_path / 'a.npz'}?site=2"], site="site", input=None)
    assert found.origin.tolist() == [0, 0, 1, 1] and found.rows.take(np.arange(4))[:, 0].tolist() == [4, 6, 0, 2]


@pytest.mark.parametrize(("query", "target", "site", "error", "text"), [
    ("", "", "sight", DataError, "no column 'sight'; did you mean 'site'"),
    ("?site=north", "?site=north", "site", DataError, "names no site but the target's: north"),
    ("", "", "site", DataError, "names no site but the target's: north, south, x&y"),
    ("", "?id=0", "id", DataError, "column 'id' has 299 values; at most 200 are taken for sites"),
    ("", "?site=north", "gap", DataError, r"1 of 300 rows have no value \(the first is row 5\)"),
])  # fmt: skip
def test_what_is_refused(table, query, target, site, error, text):
    frame = pd.concat([pd.read_csv(table)] * 5, ignore_index=True)
    frame = frame.assign(id=np.arange(300), gap=1.0)
    frame.loc[4, "gap"] = np.nan
    frame.to_csv(table, index=False)
    with pytest.raises(error, match=text):
        read(table, [f"{table}{query}"], [f"{table}{target}"], site=site)


def test_other_places_name_each_site(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(SettingsError, match="sites are told apart in tables and NPZ files"):
        read(None, [tmp_path / "folder"], site="site")
