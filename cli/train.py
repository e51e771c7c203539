"""`narrowgauge train`: trains a model from a data set and a configuration."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .common import (
    DATA_HELP,
    Commands,
    add_command,
    non_negative_int,
    positive_float,
    positive_int,
    thread_count,
    write_report,
)

if TYPE_CHECKING:
    from ..model.config import RunConfig


def add_parser(commands: Commands) -> None:
    """Adds `train` to the sub-commands."""
    parser = add_command(
        commands, "train", run, "train a model, first in float, then quantization-aware", extra="train"
    )
    parser.add_argument("--data", required=True, metavar="DATA", help=DATA_HELP)
    parser.add_argument("--out", required=True, type=Path, metavar="RUN", help="folder of the run")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--preset", metavar="NAME", help="name of a built-in configuration")
    source.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration file, .toml or .json, for instance the config.json of a run",
    )

    change = parser.add_argument_group("changes to the configuration")
    change.add_argument("--format", choices=("tt", "lowrank", "dense"), help="format of all layers")
    change.add_argument("--epochs", type=non_negative_int, metavar="N", help="epochs of the float stage")
    change.add_argument(
        "--qat-epochs", type=non_negative_int, metavar="N", help="epochs of the quantization-aware stage"
    )
    change.add_argument("--batch-size", type=positive_int, metavar="N", help="sentences per step")
    change.add_argument(
        "--lr", type=positive_float, metavar="RATE", help="peak learning rate of the float stage"
    )
    change.add_argument(
        "--qat-lr",
        type=positive_float,
        metavar="RATE",
        help="peak learning rate of the quantization-aware stage",
    )
    change.add_argument(
        "--max-len", type=positive_int, metavar="N", help="maximum number of tokens of a sentence"
    )
    change.add_argument("--tokenizer", choices=("word", "wordpiece"), help="kind of vocabulary")
    change.add_argument(
        "--vocab-size", type=positive_int, metavar="N", help="entries of a WordPiece vocabulary"
    )
    change.add_argument(
        "--words",
        choices=("whitespace", "punctuation"),
        help="how sentences are split into words (default: whitespace for voice and seq.in, otherwise punctuation)",
    )
    change.add_argument("--seed", type=non_negative_int, metavar="N", help="seed of all random numbers")

    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="RUN",
        help="a float run on the same data, whose logits are soft targets",
    )
    parser.add_argument(
        "--start",
        type=Path,
        metavar="RUN",
        help="a float run whose weights are the initial weights (default: the teacher)",
    )
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint in RUN")
    parser.add_argument(
        "--threads", type=thread_count, metavar="N", help="threads of PyTorch (default: chosen by PyTorch)"
    )


def configuration(args: argparse.Namespace) -> RunConfig:
    """The configuration selected by `args`: a preset or a file, with the changes from the options.

    Raises:
        UserError: the preset or file does not exist, or the result is invalid.
    """
    from ..model.config import from_dict, read_config, to_dict
    from ..model.presets import preset

    config = preset(args.preset) if args.config is None else read_config(args.config)
    value = to_dict(config)
    changes = {
        "training": {
            "epochs": args.epochs,
            "qat_epochs": args.qat_epochs,
            "batch_size": args.batch_size,
            "lr": args.lr,
            "qat_lr": args.qat_lr,
            "seed": args.seed,
        },
        "model": {"max_length": args.max_len},
        "tokenizer": {"kind": args.tokenizer, "vocab_size": args.vocab_size, "words": args.words},
    }
    for section, entries in changes.items():
        value[section].update({key: entry for key, entry in entries.items() if entry is not None})
    changed = from_dict(value, "the command line")
    return changed if args.format is None else replace(changed, model=changed.model.with_kind(args.format))


def run(args: argparse.Namespace) -> int:
    """Trains a model and prints the path of the run. Scores and progress are printed to standard error."""
    config = configuration(args)
    from ..model.training import TrainOptions, train

    options = TrainOptions(
        config,
        args.data,
        args.out,
        teacher=args.teacher,
        start=args.start,
        resume=args.resume,
        threads=args.threads,
    )
    write_report(args, train(options))
    print(f"The run is in {args.out}.")
    return 0
