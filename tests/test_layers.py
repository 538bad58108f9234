"""The house's rule: imports go down only (the layers are listed in pyproject.toml)."""

from __future__ import annotations

from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "acclimate"


def test_every_folder_is_a_package() -> None:
    """A folder without ``__init__.py`` would be invisible to the contract."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [str(f.relative_to(ROOT)) for f in sorted(folders) if not (f / "__init__.py").is_file()] == []


def test_imports_go_down_only(capsys: pytest.CaptureFixture[str]) -> None:
    code = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert code == 0, capsys.readouterr().out


def test_the_contract_sees_a_violation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same layers on a package that is sound, and then imports its command line from its errors."""
    house = tmp_path / "house"
    house.mkdir()
    for name in ("cli", "api", "settings", "files", "seeds", "memory", "errors"):
        (house / f"{name}.py").write_text("")
    (house / "__init__.py").write_text("import house.api\n")
    config = tmp_path / "pyproject.toml"
    contract = (ROOT / "pyproject.toml").read_text().split("[tool.importlinter]")[1].replace("acclimate", "house")
    config.write_text("[tool.importlinter]" + contract)
    monkeypatch.syspath_prepend(tmp_path)
    assert lint_imports(config_filename=str(config), no_cache=True) == 0
    (house / "errors.py").write_text("import house.cli\n")
    assert lint_imports(config_filename=str(config), no_cache=True) == 1
