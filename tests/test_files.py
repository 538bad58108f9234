"""Files are whole or absent."""

from __future__ import annotations

import os

import pytest

from acclimate import files
from acclimate.errors import AcclimateError


def test_a_folder_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    """The old folder steps aside for the new one; if that one cannot take its place, it comes back."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("old")

    def full(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(AcclimateError, match="No space left"), files.writing(folder) as part:
        part.mkdir()
    assert (folder / "weights").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "old").touch()
    with files.writing(folder) as part:
        part.mkdir()
        (part / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "new"]


def test_a_name_for_a_file_is_one_that_every_file_system_takes():
    assert files.path_name("dann+mcc:dann.strength=0.3") == "dann+mcc,dann.strength=0.3"
    assert files.path_name("../a b") == "..,a,b"
