"""Shared by all tests: the public data sets if available, and Hypothesis without deadlines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The duration of an example is irrelevant to its correctness.
settings.register_profile("narrowgauge", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("narrowgauge")


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data(root: Path) -> Path:
    """The folder with the public data sets; tests that need it are skipped if it is missing."""
    folder = Path(os.environ.get("NARROWGAUGE_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}; NARROWGAUGE_DATA names another folder")
    return folder
