"""What tests of tasks share."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.domains.rows import ListRows


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


@pytest.fixture(scope="session")
def rows():
    """Texts as rows."""

    def make(*texts: str) -> ListRows:
        values = np.empty(len(texts), dtype=object)
        values[:] = texts
        return ListRows(values)

    return make


@pytest.fixture
def pair(tmp_path, scenes):
    """A folder with images of discs and their masks, ``source``, and others in haze, ``target``."""
    scenes(tmp_path / "source", 12)
    scenes(tmp_path / "target", 8, "haze", seed=1)
    return tmp_path
