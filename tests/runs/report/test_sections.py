"""The form of what any part of the program adds to the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from acclimate.errors import DataError
from acclimate.files import read_json
from acclimate.runs.report.sections import sections, write_section

WHOLE: dict[str, Any] = {
    "name": "coverage",
    "title": {"en": "Coverage", "zh": "覆盖率"},
    "summary": "Sets hold the answer.",
    "level": "good",
    "sentences": ["One.", {"en": "Two.", "zh": "二。"}],
    "table": {"columns": ["level", "rows"], "rows": [["90 %", 12], [{"en": "all", "zh": "全部"}, None]]},
    "figure": {"kind": "lines", "series": [{"name": "target", "x": [0, 1], "y": [0.5, None], "low": [0.4, None]}]},
}


def test_a_section_is_written_and_found_again(tmp_path: Path) -> None:
    path = write_section(tmp_path, WHOLE)
    assert path == tmp_path / "trust" / "coverage.json" and read_json(path) == WHOLE
    assert sections(tmp_path) == ([WHOLE], [])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "../evil"}, "name: expected small letters"),
        ({"title": {"en": "Coverage"}}, "title: expected a text, or one for each language"),
        ({"level": "great"}, "level: expected one of info, good, caution, bad, found 'great'"),
        ({"opened": 1}, "opened: expected true or false, found 1"),
        ({"sentences": "One."}, "sentences: expected a list"),
        ({"table": {"columns": ["a", "b"], "rows": [["1"]]}}, r"table.rows: expected lists of 2 cells"),
        ({"table": {"columns": ["a"], "rows": [[float("nan")]]}}, "table.rows: expected lists of 1 cells"),
        ({"figure": {"kind": "pie"}}, "figure.kind: expected one of lines, scatter, bars, dots, heatmap"),
        ({"figure": {"kind": "bars", "labels": ["a"], "series": [{"values": [1, 2]}]}}, "a list of 1 numbers or null"),
        ({"figure": {"kind": "heatmap", "rows": ["a"], "columns": ["b"], "values": [[1, 2]]}}, "1 lists of 1 numbers"),
    ],
)
def test_another_form_is_refused_where_it_is_written(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        write_section(tmp_path, WHOLE | change)
    assert not (tmp_path / "trust").exists()


def test_a_damaged_file_is_left_out_and_said(tmp_path: Path) -> None:
    write_section(tmp_path, WHOLE)
    (tmp_path / "trust" / "broken.json").write_text("{", "utf-8")
    (tmp_path / "trust" / "strange.json").write_text('{"name": "strange", "title": 3}', "utf-8")
    found, problems = sections(tmp_path)
    assert [section["name"] for section in found] == ["coverage"]
    assert "broken.json: not readable" in problems[0] and "strange.json: title: expected" in problems[1]
