"""Generates `docs/configuration.md`, the reference of all configuration keys, from the schema in `config`.

    python -m narrowgauge.model.config_reference [--check]

writes the file in the source tree; with --check it only reports whether the file is up to date.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import textwrap
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ..files import write_atomic
from .config import EmbeddingConfig, LinearConfig, ModelConfig, RunConfig, TokenizerConfig, TrainingConfig

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"

EXAMPLE = """\
name = "small"

[model]
dim = 128
heads = 4
ffn = 256
max_length = 32

[model.attention]
rank = 16
modes = 2

[model.feedforward]
rank = [8, 16, 8]
modes = 2
bits = [8, 4, 4, 8]
plan = "cores"

[model.overrides."encoder.0.attention.query"]
kind = "lowrank"
rank = 8

[training]
epochs = 10
lr = 2e-3
"""
"""The example on the page."""

_HEAD = f"""\
# Configuration files

*Generated from `model/config.py` by `python -m narrowgauge.model.config_reference`; edits are
lost.*

The option `--config FILE` of `narrowgauge train` reads a `.toml` file; a file with any other suffix
is read as JSON. Every key is optional. Unknown keys, duplicate keys, and values of the wrong type
or out of range are errors.

`RUN/config.json`, which training writes, is also a configuration file. It contains all keys of the
run, so `--config RUN/config.json` repeats the training. The presets of `--preset NAME` are
configurations of the same form. Options such as `--lr` and `--epochs` set one key.

```toml
{EXAMPLE.strip()}
```
"""

_TABLES: tuple[tuple[str, type[Any]], ...] = (
    ("The whole file", RunConfig),
    ("`[model]`", ModelConfig),
    (
        '`[model.attention]`, `[model.feedforward]`, `[model.pooler]`, `[model.head]`, `[model.overrides."LAYER"]`',
        LinearConfig,
    ),
    ("`[model.embedding]`", EmbeddingConfig),
    ("`[training]`", TrainingConfig),
    ("`[tokenizer]`", TokenizerConfig),
)


def render() -> str:
    """The page."""
    return "\n".join((_HEAD, *(_table(*table) for table in _TABLES)))


def meanings(table: type[Any]) -> dict[str, str]:
    """The description of each attribute in the docstring of a configuration, in order."""
    _, _, text = (inspect.getdoc(table) or "").partition("Attributes:\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n      .*)*)", text, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", meaning) for name, meaning in entries}


def _table(title: str, table: type[Any]) -> str:
    description, _, _ = (inspect.getdoc(table) or "").partition("\n\nAttributes:")
    values = TypeAdapter(table).json_schema()["properties"]
    texts = meanings(table)
    rows = [
        f"| `{entry.name}` | {_type(values[entry.name])} | {_default(entry)} | {texts[entry.name]} |"
        for entry in fields(table)
    ]
    head = "| key | value | default | meaning |\n| -- | -- | -- | -- |"
    paragraphs = (textwrap.fill(paragraph, 100) for paragraph in description.split("\n\n"))
    return "\n".join((f"## {title}\n", "\n\n".join(paragraphs) + "\n", head, *rows, ""))


def _default(entry: Field[Any]) -> str:
    """The default of a key; for a table, only the keys that differ from the defaults of the table."""
    if is_dataclass(entry.default):
        own = type(entry.default)()  # type: ignore[misc]
        named = ((f.name, getattr(entry.default, f.name)) for f in fields(own))
        changed = [f"{name} = {json.dumps(value)}" for name, value in named if value != getattr(own, name)]
        return f"`{', '.join(changed)}`" if changed else ""
    return "" if entry.default is MISSING else f"`{json.dumps(entry.default)}`"


def _type(schema: dict[str, Any]) -> str:
    """A JSON schema in words."""
    if "anyOf" in schema:
        return ", or ".join(_type(option) for option in schema["anyOf"])
    if "enum" in schema:
        *names, last = (f"`{json.dumps(value)}`" for value in schema["enum"])
        return f"{', '.join(names)} or {last}"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "$ref" in schema:
        return "table"
    kind: str = schema["type"]
    if kind == "object":
        return f"tables, at most {schema['maxProperties']:,}"
    if kind == "array":
        return f"list of at most {schema['maxItems']} of: {_type(schema['items'])}"
    if kind == "string":
        return f"text of at most {schema['maxLength']} characters"
    if kind == "boolean":
        return "`true` or `false`"
    return kind + _range(schema)


def _range(schema: dict[str, Any]) -> str:
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    if "exclusiveMinimum" in schema:
        return f" above {least}, at most {most:,}"
    if "exclusiveMaximum" in schema:
        return f" from {least}, below {most:,}"
    return f" from {least} to {most:,}"


def main() -> int:
    """Writes or checks the page; returns 1 if it is not up to date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing")
    if not parser.parse_args().check:
        write_atomic(PAGE, render())
        return 0
    current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == render()
    if not current:
        print(f"{PAGE} is not up to date; run: python -m narrowgauge.model.config_reference")
    return 0 if current else 1


if __name__ == "__main__":
    raise SystemExit(main())
