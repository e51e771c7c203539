"""Writes configuration files."""

from __future__ import annotations

import json
from pathlib import Path

import tomli_w

from narrowgauge.files import write_atomic
from narrowgauge.model.config import RunConfig, to_dict


def write_config(config: RunConfig, path: Path) -> None:
    """Writes a configuration as TOML (`.toml`) or JSON (any other suffix); `read_config` reads it back unchanged."""
    if path.suffix == ".toml":
        write_atomic(path, tomli_w.dumps(to_dict(config)))
    else:
        write_atomic(path, json.dumps(to_dict(config), indent=2) + "\n")
