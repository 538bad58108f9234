"""The atlas: its cells are those that were fixed, and its page is what the result files say."""

from __future__ import annotations

import json

from benchmarks.atlas.cells import CELLS, QUICK, manifest
from benchmarks.atlas.page import PAGE, page
from benchmarks.common import ROOT


def test_the_manifest_is_what_was_fixed() -> None:
    fixed = json.loads((ROOT / "benchmarks" / "atlas" / "manifest.json").read_text(encoding="utf-8"))
    assert json.loads(json.dumps(manifest())) == fixed


def test_there_are_enough_cells_of_each_kind_and_part() -> None:
    for part in ("dev", "test"):
        kinds = [cell.kind for cell in CELLS.values() if cell.part == part]
        assert kinds.count("natural") >= 30 and {"shares", "missing"} <= set(kinds)
    assert len({cell.modality for cell in CELLS.values()}) == 6
    assert len(QUICK) == 12 and {CELLS[name].part for name in QUICK} == {"dev"}


def test_the_page_is_what_the_result_files_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
