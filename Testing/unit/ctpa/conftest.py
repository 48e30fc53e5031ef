"""Which method the tests of this folder run."""

from __future__ import annotations

import pytest


@pytest.fixture
def method_name() -> str:
    return "ctpa"
