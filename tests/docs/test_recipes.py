from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_settings_is_what_the_code_says() -> None:
    spec = importlib.util.spec_from_file_location("docs_build", DOCS / "build.py")
    assert spec is not None and spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    written = (DOCS / "recipes.md").read_text(encoding="utf-8")
    assert written == build.page(), "run: python docs/build.py"
    assert "| `strength` | number | `1` | largest lambda (paper: 1; DomainBed searches 0.01 to 100," in written
