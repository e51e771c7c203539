"""WordPiece encoding as defined by a tokenizer.json: plain Python, equal to the library `tokenizers`.

A definition has a normalizer, a pre-tokenizer, a vocabulary and added tokens. A text is split at the added tokens
and normalized. The pre-tokenizer splits it into words, and each word is split into the longest pieces in the
vocabulary, from left to right.

Limits: the kinds of parts in `PARTS`. Truncation, padding, templates and decoders of the definition are ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, groupby
from typing import Any

from ..errors import UserError, printable
from . import characters
from .characters import (
    CHINESE,
    CONTROL,
    MARK,
    NONSPACING,
    PUNCTUATION,
    SPACE,
    WORD,
    CharacterSet,
    Form,
    normalize,
)

PARTS: Mapping[str, tuple[str, ...]] = {
    "model": ("WordPiece",),
    "normalizer": ("BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents", "Sequence"),
    "pre_tokenizer": ("BertPreTokenizer", "Punctuation", "Whitespace", "WhitespaceSplit", "Sequence"),
}
"""The parts of a definition and their supported kinds."""

BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
"""What the pre-tokenizer `Punctuation` does with punctuation."""

Normalizer = Callable[[str], str]
PreTokenizer = Callable[[str], Iterable[str]]

_REQUIRED = object()


@dataclass(frozen=True)
class AddedToken:
    """A token that is matched anywhere in a text, before the text is split into words.

    Attributes:
        id: the token id; the same as in the vocabulary if that contains the token.
        content: the text of the token.
        single_word: whether a match next to a word character is ignored.
        lstrip, rstrip: whether a match includes the white space before or after it.
        normalized: whether the normalized content is matched in normalized text.
        special: recorded; no effect on encoding.
    """

    id: int
    content: str
    single_word: bool
    lstrip: bool
    rstrip: bool
    normalized: bool
    special: bool


class WordPiece:
    """The encoder of one definition.

    Attributes:
        ids: the id of each token.
        tokens: the text of each token, in the order of the ids.
        unk_id: the id of a word that cannot be split into pieces of the vocabulary.
    """

    def __init__(self, definition: Mapping[str, Any]) -> None:
        """An encoder from the content of a tokenizer.json.

        Raises:
            UserError: the definition is incomplete, or has a part or an option that is not supported.
        """
        version = definition.get("version", "1.0")
        if version != "1.0":
            raise UserError(f'the tokenizer\'s version must be "1.0", got {_shown(version)}.')
        try:
            self._normalizer, self._normalize = _normalizer(definition.get("normalizer"))
            self._pre_tokenizer, self._cut = _pre_tokenizer(definition.get("pre_tokenizer"))
        except RecursionError:
            raise UserError(
                "the tokenizer's normalizer or pre_tokenizer is nested too deeply; choose another tokenizer."
            ) from None
        model = _Part.of_kind(definition.get("model"), "model")
        self._unk_token = model.text("unk_token")
        self._prefix = model.text("continuing_subword_prefix")
        self._longest_word = model.size("max_input_chars_per_word")
        self._vocabulary = _vocabulary(model.take("vocab"))
        model.end()
        self._added = _added_tokens(definition.get("added_tokens", []), self._vocabulary)

        ids = {**self._vocabulary, **{token.content: token.id for token in self._added}}
        if sorted(ids.values()) != list(range(len(ids))):
            raise UserError(
                f"the tokenizer's ids must be 0 to {len(ids) - 1}, each once; choose another tokenizer."
            )
        if self._unk_token not in self._vocabulary:
            raise UserError(
                f"the tokenizer's vocabulary must contain its unk_token {_shown(self._unk_token)}; "
                "choose another tokenizer."
            )
        self.ids: Mapping[str, int] = ids
        self.tokens = tuple(sorted(ids, key=ids.__getitem__))
        self.unk_id = self._vocabulary[self._unk_token]
        self._longest_piece = max(map(len, self._vocabulary))
        raw = {token.content: token for token in self._added if not token.normalized}
        normalized = _by_normalized(self._added, self._normalize)
        self._at_raw, self._at_normalized = _Splitter(raw), _Splitter(normalized)

    def definition(self) -> dict[str, Any]:
        """The content of a tokenizer.json, with the entries and in the order of those that the library writes."""
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [asdict(token) for token in self._added],
            "normalizer": deepcopy(self._normalizer),
            "pre_tokenizer": deepcopy(self._pre_tokenizer),
            "post_processor": None,
            "decoder": None,
            "model": {
                "type": "WordPiece",
                "unk_token": self._unk_token,
                "continuing_subword_prefix": self._prefix,
                "max_input_chars_per_word": self._longest_word,
                "vocab": dict(sorted(self._vocabulary.items(), key=lambda item: item[1])),
            },
        }

    def encode(self, text: str) -> list[int]:
        """The token ids of a text; none if the normalizer or the pre-tokenizer removes all of it."""
        ids: list[int] = []
        for part in self._at_raw.split(text):
            if isinstance(part, AddedToken):
                ids.append(part.id)
                continue
            for inner in self._at_normalized.split(self._normalize(part)):
                if isinstance(inner, AddedToken):
                    ids.append(inner.id)
                else:
                    ids += chain.from_iterable(map(self._pieces, self._cut(inner)))
        return ids

    def join(self, ids: Iterable[int]) -> str:
        """The text of tokens: words separated by one space, pieces joined."""
        text = " ".join(self.tokens[index] for index in ids)
        return text.replace(f" {self._prefix}", "") if self._prefix else text

    def _pieces(self, word: str) -> list[int]:
        """The ids of a word's pieces, each the longest one in the vocabulary."""
        if len(word) > self._longest_word:
            return [self.unk_id]
        ids: list[int] = []
        start, prefix = 0, ""
        while start < len(word):
            longest = min(len(word), start + self._longest_piece)
            for end in range(longest, start, -1):
                index = self._vocabulary.get(prefix + word[start:end])
                if index is not None:
                    break
            else:
                return [self.unk_id]
            ids.append(index)
            start, prefix = end, self._prefix
        return ids


class _Splitter:
    """Splits a text at added tokens. Of several matches, the leftmost counts, and of these the longest."""

    def __init__(self, tokens: Mapping[str, AddedToken]) -> None:
        self._tokens = tokens
        longest_first = sorted(tokens, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if tokens else None

    def split(self, text: str) -> Iterator[str | AddedToken]:
        """The added tokens in `text` and the text between them, in order."""
        at = 0
        for match in self._pattern.finditer(text) if self._pattern else ():
            token = self._tokens[match[0]]
            start, end = match.span()
            inside = (start > 0 and text[start - 1] in WORD) or (end < len(text) and text[end] in WORD)
            if token.single_word and inside:
                continue
            if token.lstrip:
                # The previous token may have taken the space at the start of this one.
                start = max(start, at)
                while start > at and text[start - 1] in SPACE:
                    start -= 1
            while token.rstrip and end < len(text) and text[end] in SPACE:
                end += 1
            if at < start:
                yield text[at:start]
            if start < end:
                yield token
            at = end
        if at < len(text):
            yield text[at:]


class _Part:
    """The options of one part of a definition. `take` removes an option; `end` refuses those that remain."""

    def __init__(self, value: object, name: str) -> None:
        if not isinstance(value, Mapping):
            raise UserError(f"the tokenizer's {name} must be a JSON object, got {_shown(value)}.")
        self.name = name
        self.kind = ""
        self._options = dict(value)

    @classmethod
    def of_kind(cls, value: object, name: str) -> _Part:
        """A part whose `type` is one of the supported kinds."""
        part = cls(value, name)
        kind = part._options.pop("type", None)
        if kind not in PARTS[name]:
            raise UserError(f"the tokenizer's {name} must be {' or '.join(PARTS[name])}, got {_shown(kind)}.")
        part.kind = part.name = kind
        return part

    def take(self, option: str, default: object = _REQUIRED) -> Any:
        if option not in self._options and default is _REQUIRED:
            raise UserError(
                f"the tokenizer's {self.name} must have the option '{option}'; choose another tokenizer."
            )
        return self._options.pop(option, default)

    def choice(self, option: str, values: Sequence[object], default: object = _REQUIRED) -> Any:
        value = self.take(option, default)
        if not any(value is one or (isinstance(one, str) and value == one) for one in values):
            raise self._wrong(option, " or ".join(map(_shown, values)), value)
        return value

    def flag(self, option: str) -> bool:
        return bool(self.choice(option, (True, False)))

    def text(self, option: str) -> str:
        value = self.take(option)
        if not isinstance(value, str) or not _is_text(value):
            raise self._wrong(option, "a string of Unicode characters", value)
        return value

    def size(self, option: str) -> int:
        value = self.take(option)
        if type(value) is not int or value < 0:
            raise self._wrong(option, "a whole number of at least 0", value)
        return value

    def objects(self, option: str) -> list[Any]:
        value = self.take(option)
        if not isinstance(value, list) or None in value:
            raise self._wrong(option, "a list of JSON objects", value)
        return value

    def end(self) -> None:
        for option, value in self._options.items():
            raise UserError(
                f"the option {_shown(option)} of the tokenizer's {self.name} is not supported, got {_shown(value)}."
            )

    def _wrong(self, option: str, expected: str, value: object) -> UserError:
        return UserError(
            f"the option '{option}' of the tokenizer's {self.name} must be {expected}, got {_shown(value)}."
        )


def _normalizer(value: object) -> tuple[dict[str, Any] | None, Normalizer]:
    """The canonical definition of a normalizer, and its function."""
    if value is None:
        return None, str
    part = _Part.of_kind(value, "normalizer")
    definition: dict[str, Any] = {"type": part.kind}
    if part.kind == "Sequence":
        inner = [_normalizer(one) for one in part.objects("normalizers")]
        definition["normalizers"] = [one for one, _ in inner]
        function: Normalizer = partial(_one_by_one, [one for _, one in inner])
    elif part.kind == "BertNormalizer":
        options = {
            "clean_text": part.flag("clean_text"),
            "handle_chinese_chars": part.flag("handle_chinese_chars"),
            "strip_accents": part.choice("strip_accents", (True, False, None), None),
            "lowercase": part.flag("lowercase"),
        }
        definition |= options
        function = partial(_bert_normalize, **options)
    elif part.kind == "Lowercase":
        function = characters.lowercase
    elif part.kind == "StripAccents":
        function = partial(_without, MARK)
    else:
        form: Form = part.kind  # type: ignore[assignment]
        function = partial(normalize, form)
    part.end()
    return definition, function


def _one_by_one(functions: Sequence[Normalizer], text: str) -> str:
    for function in functions:
        text = function(text)
    return text


def _bert_normalize(
    text: str, clean_text: bool, handle_chinese_chars: bool, strip_accents: bool | None, lowercase: bool
) -> str:
    if clean_text:
        kept = (one for one in text if one not in CONTROL)
        text = "".join(" " if one in SPACE else one for one in kept)
    if handle_chinese_chars:
        text = "".join(f" {one} " if one in CHINESE else one for one in text)
    if lowercase if strip_accents is None else strip_accents:
        text = _without(NONSPACING, normalize("NFD", text))
    return characters.lowercase(text) if lowercase else text


def _without(removed: CharacterSet, text: str) -> str:
    return "".join(one for one in text if one not in removed)


def _pre_tokenizer(value: object) -> tuple[dict[str, Any] | None, PreTokenizer]:
    """The canonical definition of a pre-tokenizer, and its function."""
    if value is None:
        return None, _whole
    part = _Part.of_kind(value, "pre_tokenizer")
    definition: dict[str, Any] = {"type": part.kind}
    if part.kind == "Sequence":
        inner = [_pre_tokenizer(one) for one in part.objects("pretokenizers")]
        definition["pretokenizers"] = [one for one, _ in inner]
        function: PreTokenizer = partial(_in_turn, [one for _, one in inner])
    elif part.kind == "Punctuation":
        definition["behavior"] = part.choice("behavior", BEHAVIORS, "Isolated")
        function = partial(_at_punctuation, definition["behavior"])
    elif part.kind == "BertPreTokenizer":
        function = partial(_in_turn, [_at_spaces, partial(_at_punctuation, "Isolated")])
    else:
        function = _words_and_symbols if part.kind == "Whitespace" else _at_spaces
    part.end()
    return definition, function


def _whole(text: str) -> list[str]:
    return [text]


def _in_turn(functions: Sequence[PreTokenizer], text: str) -> Iterable[str]:
    pieces: Iterable[str] = [text]
    for function in functions:
        pieces = chain.from_iterable(map(function, pieces))
    return pieces


def _at_spaces(text: str) -> list[str]:
    return ["".join(run) for space, run in groupby(text, SPACE.__contains__) if not space]


def _words_and_symbols(text: str) -> list[str]:
    r"""The matches of `\w+|[^\w\s]+`."""

    def kind(character: str) -> str:
        return "word" if character in WORD else "space" if character in SPACE else "symbol"

    return ["".join(run) for name, run in groupby(text, kind) if name != "space"]


def _at_punctuation(behavior: str, text: str) -> list[str]:
    """Splits a text at punctuation characters."""
    if behavior == "Contiguous":
        return ["".join(run) for _, run in groupby(text, PUNCTUATION.__contains__)]
    # Each punctuation character is a part; so is the text between two of them.
    parts: list[tuple[str, bool]] = []
    for mark, run in groupby(text, PUNCTUATION.__contains__):
        parts += [(one, mark) for one in (run if mark else ("".join(run),))]
    if behavior == "Isolated":
        return [part for part, _ in parts]
    if behavior == "Removed":
        return [part for part, mark in parts if not mark]
    # Of consecutive punctuation characters, only the one next to the text is merged with it.
    backwards = behavior == "MergedWithNext"
    merged: list[str] = []
    after_mark = False
    for part, mark in reversed(parts) if backwards else parts:
        if mark and merged and not after_mark:
            merged[-1] = part + merged[-1] if backwards else merged[-1] + part
        else:
            merged.append(part)
        after_mark = mark
    return merged[::-1] if backwards else merged


def _vocabulary(value: object) -> dict[str, int]:
    if not isinstance(value, Mapping) or not all(type(index) is int for index in value.values()):
        raise UserError("the tokenizer's vocabulary must be a JSON object with an integer for each token.")
    if not value or not _is_text("".join(value)):
        raise UserError("the tokenizer's vocabulary must have tokens, each a string of Unicode characters.")
    return dict(value)


def _added_tokens(value: object, vocabulary: Mapping[str, int]) -> tuple[AddedToken, ...]:
    """The added tokens in the order of their ids; those not in the vocabulary have the ids after its last one."""
    if not isinstance(value, list):
        raise UserError(f"the tokenizer's added_tokens must be a list, got {_shown(value)}.")
    tokens: dict[str, AddedToken] = {}
    next_id = len(vocabulary)
    for entry in value:
        part = _Part(entry, "added token")
        flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
        token = AddedToken(part.size("id"), part.text("content"), **{flag: part.flag(flag) for flag in flags})
        part.end()
        if not token.content or token.content in tokens:
            raise UserError(
                f"the tokenizer's added tokens must differ and not be empty, got {_shown(token.content)}."
            )
        expected = vocabulary.get(token.content, next_id)
        if token.id != expected:
            raise UserError(
                f"the tokenizer's added token {_shown(token.content)} must have the id {expected}, got {token.id}."
            )
        next_id += token.content not in vocabulary
        tokens[token.content] = token
    return tuple(sorted(tokens.values(), key=lambda token: token.id))


def _by_normalized(tokens: Iterable[AddedToken], function: Normalizer) -> dict[str, AddedToken]:
    """The added tokens that are matched in normalized text, by their normalized content."""
    by_content: dict[str, AddedToken] = {}
    for token in tokens:
        if token.normalized:
            text = function(token.content)
            if not text or text in by_content:
                raise UserError(
                    "the normalized contents of the tokenizer's added tokens must differ and not be empty, got "
                    f"{_shown(text)} from {_shown(token.content)}."
                )
            by_content[text] = token
    return by_content


def _is_text(text: str) -> bool:
    """Whether `text` has no surrogates, which JSON can escape and UTF-8 cannot encode."""
    return not any("\ud800" <= one <= "\udfff" for one in text)


def _shown(value: object) -> str:
    return printable(json.dumps(value, ensure_ascii=False)[:80])
