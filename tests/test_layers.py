"""The house's rule: imports go down only (the layers are listed in pyproject.toml)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "acclimate"
COMMAND = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def linted(config: Path, *places: Path) -> subprocess.CompletedProcess[str]:
    """import-linter in a process of its own: in this one it closes, now and then, the output that pytest captures."""
    words = [sys.executable, "-c", COMMAND, "--config", str(config), "--no-cache"]
    paths = os.pathsep.join(map(str, places))
    return subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}, cwd=ROOT)


def test_every_folder_is_a_package() -> None:
    """A folder without ``__init__.py`` would be invisible to the contract."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [str(f.relative_to(ROOT)) for f in sorted(folders) if not (f / "__init__.py").is_file()] == []


def test_imports_go_down_only() -> None:
    done = linted(ROOT / "pyproject.toml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_contract_sees_a_violation(tmp_path: Path) -> None:
    """The same layers on a package that is sound, and then imports its command line from its errors."""
    house = tmp_path / "house"
    house.mkdir()
    for name in ("cli", "api", "settings", "files", "seeds", "memory", "digits", "errors"):
        (house / f"{name}.py").write_text("")
    (house / "__init__.py").write_text("import house.api\n")
    config = tmp_path / "pyproject.toml"
    contract = (ROOT / "pyproject.toml").read_text().split("[tool.importlinter]")[1].replace("acclimate", "house")
    config.write_text("[tool.importlinter]" + contract)
    sound = linted(config, tmp_path)
    assert sound.returncode == 0, sound.stdout + sound.stderr
    (house / "errors.py").write_text("import house.cli\n")
    broken = linted(config, tmp_path)
    assert broken.returncode == 1
    assert "house.errors is not allowed to import house.cli" in broken.stdout
