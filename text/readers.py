"""Readers of data sets: the seq.in/seq.out/label layout, CSV and TSV files, and Hugging Face `datasets`.

Invalid input raises a UserError that names the file and the line.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError, printable, refusing
from ..files import readable_file
from .corpus import SPLIT_SEED, SPLITS, Corpus, Example, Splitter, split_words
from .voice.corpus import voice_corpus

MOST_BYTES = 1 << 30
"""Maximum size of a file with sentences or labels."""

_TABLES = (".csv", ".tsv")
_TEXT_COLUMNS = ("text", "sentence", "utterance", "query")
_PAIR_COLUMNS = (("sentence1", "sentence2"), ("question1", "question2"), ("premise", "hypothesis"))
_LABEL_COLUMNS = ("label", "intent", "category", "class")
_SPLIT_NAMES = {
    "train": ("train", "training"),
    "dev": ("dev", "validation", "valid", "val", "validation_matched"),
    "test": ("test", "testing", "test_matched"),
}
_BIO = re.compile(r"O|[BI]-.+")


def load(source: str, splitter: Splitter | None = None) -> Corpus:
    """Loads the data set that `source` names; docs/data.md specifies the formats.

    Args:
        source: One of
            "voice", the built-in corpus;
            a directory with train, dev and test sub-directories, each with `seq.in` (words separated by spaces),
            `label` and, for slots, `seq.out`, one sentence per line;
            a directory with train, dev and test .csv or .tsv files, each with a header line;
            one .csv or .tsv file, which is divided into 80 % train, 10 % dev and 10 % test;
            "hf:PATH", a data set saved by `datasets.save_to_disk`;
            "hf:NAME" or "hf:NAME:CONFIG", a data set of the hub.
            dev may also be named validation, valid or val. Without it, a tenth of the training examples is held out.
        splitter: the rule that splits sentences into words. None: "whitespace" for the built-in corpus and for
            `seq.in` files, "punctuation" for all others.

    Raises:
        UserError: the source is missing or malformed, or its training split is empty.
    """
    if source == "voice":
        return _voice(splitter or "whitespace")
    if source.startswith("hf:"):
        return _load_hugging_face(source[3:], splitter or "punctuation")
    path = Path(source)
    if path.is_dir():
        return _load_directory(path, splitter)
    if path.is_file() and path.suffix.lower() in _TABLES:
        cut = splitter or "punctuation"
        return _three_way(path.stem, _read_table(path, cut), cut, path)
    if path.is_file():
        raise UserError(f"{path} is not a .csv or .tsv file; rename or convert it, or give a data directory.")
    raise UserError(
        f"{source} is not a data set; give 'voice', a directory, a .csv or .tsv file, or hf:NAME."
    )


def load_split(
    source: str, split: str, limit: int | None = None, *, pairs: bool, splitter: Splitter
) -> tuple[Example, ...]:
    """The first `limit` examples of one split of `source`, for an existing model.

    Args:
        source: as for `load`.
        split: name of the split.
        limit: maximum number of examples; None: all.
        pairs: whether the model takes pairs of sentences.
        splitter: the model's rule that splits sentences into words, for every format of data.

    Raises:
        UserError: as for `load`; the split is unknown or empty; the data has pairs and the model takes single
            sentences.
    """
    corpus = load(source, splitter)
    if split == "train" or split in corpus.held_out:
        corpus.log_held_out_splits()
    examples = corpus.split(split)[:limit]
    if not pairs and any(example.pair is not None for example in examples):
        raise UserError(
            f"{source} has pairs of sentences, and this model takes single sentences; give data of single sentences."
        )
    return examples


def _voice(splitter: Splitter) -> Corpus:
    """The built-in corpus; its words are separated by spaces."""
    corpus = voice_corpus()
    if splitter == corpus.splitter:
        return corpus

    def cut(examples: Sequence[Example]) -> tuple[Example, ...]:
        return tuple(_cut(e, splitter) for e in examples)

    return Corpus(corpus.name, cut(corpus.train), cut(corpus.dev), cut(corpus.test), splitter)


def _corpus(name: str, splits: Mapping[str, Sequence[Example]], splitter: Splitter) -> Corpus:
    train, dev, test = (tuple(splits.get(split, ())) for split in SPLITS)
    held_out: tuple[str, ...] = ()
    if train and "dev" not in splits:
        train, dev = _hold_out(train, len(train) // 10)
        held_out = ("dev",)
    if not train:
        raise UserError(f"the train split of {name} is empty; give it at least one example.")
    return Corpus(name, train, dev, test, splitter, held_out)


def _ranked(examples: Sequence[Example]) -> list[int]:
    """Positions ordered by a hash of the words, so that equal sentences are adjacent."""

    def key(position: int) -> bytes:
        example = examples[position]
        text = "\n".join((str(SPLIT_SEED), *example.words, "", *(example.pair or ())))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

    return sorted(range(len(examples)), key=key)


def _hold_out(examples: Sequence[Example], count: int) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Splits off `count` of `examples`: those that remain and those split off, each in their original order."""
    held = set(_ranked(examples)[:count])
    kept = tuple(example for position, example in enumerate(examples) if position not in held)
    return kept, tuple(examples[position] for position in sorted(held))


def _three_way(name: str, examples: Sequence[Example], splitter: Splitter, where: object) -> Corpus:
    if len(examples) < 3:
        raise UserError(f"{where} has {len(examples)} examples; three splits need at least 3.")
    count = max(1, len(examples) // 10)
    rest, test = _hold_out(examples, count)
    train, dev = _hold_out(rest, count)
    return Corpus(name, train, dev, test, splitter, ("dev", "test"))


def _load_directory(path: Path, splitter: Splitter | None) -> Corpus:
    places: dict[str, Path] = {}
    for split, names in _SPLIT_NAMES.items():
        folders = [path / name for name in names if (path / name).is_dir()]
        files = [path / f"{name}{suffix}" for name in names for suffix in _TABLES]
        present = [*folders, *(file for file in files if file.exists())]
        if len(present) > 1:
            listed = " and ".join(candidate.name for candidate in present)
            raise UserError(f"{path} has {listed} for the split {split}; keep one of them.")
        if present:
            places[split] = present[0]
    if "train" not in places:
        raise UserError(
            f"{path} has no train directory and no train.csv or train.tsv; add its training data."
        )
    cut = splitter or ("punctuation" if places["train"].suffix else "whitespace")
    splits = {
        split: _read_table(place, cut) if place.suffix else _read_sequences(place, cut)
        for split, place in places.items()
    }
    for split, examples in splits.items():
        if not examples:
            raise UserError(f"{places[split]} has no examples; add some or remove it.")
    tagged = {split: examples[0].slots is not None for split, examples in splits.items()}
    for split in splits:
        if tagged[split] != tagged["train"]:
            bare, full = (split, "train") if tagged["train"] else ("train", split)
            raise UserError(
                f"{path} has slot tags (seq.out) in {full} but not in {bare}; add or remove seq.out."
            )
    return _corpus(path.resolve().name, splits, cut)


def _read_text(path: Path) -> str:
    try:
        with readable_file(path, MOST_BYTES).open(encoding="utf-8-sig", newline="") as stream:
            return stream.read()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); add it or correct its permissions."
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}); convert it to UTF-8.") from None


def _lines(path: Path) -> list[str]:
    # Only line feeds end a line: str.splitlines would also split at characters that occur inside words.
    lines = [line.strip(" \t\r") for line in _read_text(path).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, 1):
        if "\r" in line:
            raise UserError(
                f"{path} line {number} contains a carriage return; end every line with a line feed."
            )
    return lines


def _read_sequences(folder: Path, splitter: Splitter) -> tuple[Example, ...]:
    """One split in the seq.in/seq.out/label layout."""
    sentences, labels = _lines(folder / "seq.in"), _lines(folder / "label")
    tags = _lines(folder / "seq.out") if (folder / "seq.out").exists() else None
    for name, lines in (("label", labels), ("seq.out", tags)):
        if lines is not None and len(lines) != len(sentences):
            raise UserError(
                f"{folder / name} has {len(lines)} lines but {folder / 'seq.in'} has {len(sentences)}; "
                "each must have one line per sentence."
            )
    examples = []
    for position, (sentence, label) in enumerate(zip(sentences, labels, strict=True)):
        number = position + 1
        if not split_words(sentence, splitter):
            raise UserError(
                f"{folder / 'seq.in'} line {number} has no words; remove this line from every file."
            )
        if not label:
            raise UserError(f"{folder / 'label'} line {number} has no label; add one.")
        words = split_words(sentence, "whitespace")
        slots = None if tags is None else _tags(tags[position], len(words), folder / "seq.out", number)
        examples.append(_cut(Example(words, label, slots), splitter))
    return tuple(examples)


def _tags(line: str, count: int, path: Path, number: int) -> tuple[str, ...]:
    """The slot tags of a line of seq.out for a sentence of `count` words."""
    slots = split_words(line, "whitespace")
    if len(slots) != count:
        raise UserError(
            f"{path} line {number} has {len(slots)} tags for {count} words; expected one tag per word."
        )
    for tag in slots:
        if not _BIO.fullmatch(tag):
            raise UserError(
                f"{path} line {number}: a tag must be O, B-name or I-name, got '{printable(tag)}'."
            )
    return slots


def _cut(example: Example, splitter: Splitter) -> Example:
    """Splits the words of an example by `splitter`; each part of a word keeps its slot, as one span."""
    if splitter == "whitespace":
        return example
    parts = [split_words(word, splitter) for word in example.words]
    slots = example.slots
    if slots is not None:
        slots = tuple(
            tag if at == 0 or tag == "O" else f"I{tag[1:]}"
            for part, tag in zip(parts, slots, strict=True)
            for at in range(len(part))
        )
    return Example(tuple(word for part in parts for word in part), example.label, slots)


def _columns(names: Sequence[str], where: object) -> tuple[tuple[str, ...], str]:
    """The text column or the two text columns, and the label column, by their usual names."""
    by_name: dict[str, str] = {}
    for name in names:
        key = name.strip().lower()
        if key and key in by_name:
            raise UserError(
                f"{where} has two columns named '{printable(key)}'; rename or remove one of them."
            )
        by_name[key] = name
    label = next((by_name[name] for name in _LABEL_COLUMNS if name in by_name), None)
    pair = next(((by_name[a], by_name[b]) for a, b in _PAIR_COLUMNS if a in by_name and b in by_name), None)
    text = next(((by_name[name],) for name in _TEXT_COLUMNS if name in by_name), None)
    texts = pair or text
    if texts is None or label is None:
        wanted, missing = (_TEXT_COLUMNS, "text") if texts is None else (_LABEL_COLUMNS, "label")
        raise UserError(
            f"{where} has no {missing} column among {printable(', '.join(by_name)) or 'none'}; "
            f"name it {' or '.join(wanted)}."
        )
    return texts, label


def _example(texts: Sequence[str], label: str, splitter: Splitter, where: str) -> Example:
    """An example from text; `where` names its place in error messages."""
    sentences = [split_words(text, splitter) for text in texts]
    if not all(sentences):
        raise UserError(f"{where} has no words; remove it or fill in the sentence.")
    if not label:
        raise UserError(f"{where} has no label; add one.")
    return Example(sentences[0], label, pair=sentences[1] if len(sentences) > 1 else None)


def _read_table(path: Path, splitter: Splitter) -> tuple[Example, ...]:
    """The examples of one .csv or .tsv file with a header line."""
    tabs = path.suffix.lower() == ".tsv"
    # In a .tsv file a quotation mark is an ordinary character, as in the files of GLUE: it does not enclose a field.
    reader = csv.reader(
        io.StringIO(_read_text(path), newline=""),
        delimiter="\t" if tabs else ",",
        quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
        strict=True,
    )
    examples = []
    try:
        header = next(reader, [])
        texts, label = _columns(header, path)
        wanted = [header.index(name) for name in texts]
        for row in reader:
            where = f"{path} line {reader.line_num}"
            if not any(row):
                continue
            if len(row) != len(header):
                raise UserError(
                    f"{where} has {len(row)} fields, expected {len(header)}; quote separators inside fields."
                )
            examples.append(
                _example([row[at] for at in wanted], row[header.index(label)].strip(), splitter, where)
            )
    except csv.Error as error:
        raise UserError(f"{path} line {reader.line_num} is malformed ({error}); correct it.") from None
    return tuple(examples)


def _load_hugging_face(source: str, splitter: Splitter) -> Corpus:
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            f"hf: data needs the package datasets ({error}); pip install 'narrowgauge[hf]'."
        ) from None
    where = f"hf:{source}"
    with refusing(f"{where} cannot be loaded", "check its name or path"):
        if Path(source).is_dir():
            name = Path(source).resolve().name
            loaded = datasets.load_from_disk(source)
        else:
            name, _, config = source.partition(":")
            loaded = datasets.load_dataset(name, config or None)
    if isinstance(loaded, datasets.Dataset):
        return _three_way(name, _read_hugging_face(loaded, splitter, where), splitter, where)
    splits = {}
    for split, names in _SPLIT_NAMES.items():
        present = [alias for alias in names if alias in loaded]
        if len(present) > 1:
            raise UserError(f"{where} has {' and '.join(present)} for the split {split}; keep one of them.")
        if present:
            place = f"{where} split {present[0]}"
            splits[split] = _read_hugging_face(loaded[present[0]], splitter, place)
    return _corpus(name, splits, splitter)


def _read_hugging_face(dataset: Any, splitter: Splitter, where: str) -> tuple[Example, ...]:
    """The examples of one `datasets.Dataset`; rows without a label, as in published test sets, are skipped."""
    texts, label = _columns(dataset.column_names, where)
    return tuple(
        _example(sentences, text.strip(), splitter, f"{where} row {number}")
        for number, sentences, text in _rows(dataset, texts, label, where)
    )


def _rows(dataset: Any, texts: Sequence[str], label: str, where: str) -> Iterator[tuple[int, list[str], str]]:
    """The number, the sentences and the label of each row with a label."""
    with refusing(f"{where} cannot be read", "save it again"):
        names: Sequence[str] | None = getattr(dataset.features[label], "names", None)
        rows = [(row[label], [row[column] for column in texts]) for row in dataset]
    for number, (value, sentences) in enumerate(rows):
        if value is None or (names is not None and value == -1):
            continue
        if not all(text is None or isinstance(text, str) for text in sentences):
            raise UserError(f"{where} row {number}: the column {' or '.join(texts)} must hold text.")
        if names is not None and not 0 <= value < len(names):
            raise UserError(f"{where} row {number} has label {value}, which must be below {len(names)}.")
        yield number, [text or "" for text in sentences], str(value) if names is None else names[value]
