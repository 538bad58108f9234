from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass
