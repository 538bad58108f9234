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
