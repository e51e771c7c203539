"""Vocabularies: from words to token ids and back. `Tokenizer` is the interface, for whole words and WordPiece.

The padding has id 0. Each word is encoded by itself, so that a slot tag belongs to the first token of its word. A
vocabulary is stored with the model as JSON, together with the rule that splits text into words.
"""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from .corpus import WORD_PATTERNS, Example, Splitter, split_words
from .wordpiece import WordPiece

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
PAD, UNK, CLS, SEP = range(len(SPECIALS))

LONGEST_WORD = 256
"""Maximum number of characters of a word; a longer one is [UNK]. Normalization takes quadratic time in its marks."""

Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Encoded:
    """The tokens of one sentence or pair of sentences.

    Attributes:
        ids: [L] token ids: [CLS] a1 .. an, or [CLS] a1 .. an [SEP] b1 .. bm.
        segments: [L] 0 up to and including [SEP], 1 after it.
        word_starts: [W] position of the first token of each word of the first sentence that was not truncated.
        truncated: Whether tokens were removed to fit the maximum length.
    """

    ids: Int32
    segments: Int32
    word_starts: Int32
    truncated: bool


class Tokenizer(ABC):
    """A vocabulary.

    Attributes:
        splitter: the rule that splits a sentence into words.
    """

    unk_id: int = UNK
    cls_id: int = CLS
    sep_id: int = SEP

    def __init__(self, splitter: Splitter) -> None:
        self.splitter = splitter
        self._cache: dict[str, tuple[int, ...]] = {}

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of token ids; every id is in 0 .. vocab_size - 1."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """A JSON object that describes the tokenizer completely, for `tokenizer_from_json`."""

    @abstractmethod
    def _word_ids(self, word: str) -> tuple[int, ...]:
        """The token ids of one word; empty for an unknown word."""

    @abstractmethod
    def _join(self, ids: Sequence[int]) -> str:
        """The text of ordinary tokens and unknown words."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def split(self, text: str) -> tuple[str, ...]:
        """The words of a sentence, split as the training data was."""
        return split_words(text, self.splitter)

    def encode(
        self, words: Sequence[str], pair: Sequence[str] | None = None, max_len: int | None = None
    ) -> Encoded:
        """Encodes a sentence or a pair of sentences as at most `max_len` tokens.

        A pair that is too long loses tokens at the end of the longer sentence, until both are equally long, and then
        of both.

        Raises:
            UserError: `max_len` leaves no room for one token of each sentence.
        """
        first = self._word_by_word(words, max_len)
        starts = np.cumsum([1, *(len(ids) for ids in first)], dtype=np.int32)[:-1]
        a = [token for ids in first for token in ids]
        b = [token for ids in self._word_by_word(pair or (), max_len) for token in ids]
        frame = 1 if pair is None else 2
        total = len(a) + len(b) + frame
        truncated = max_len is not None and total > max_len
        if max_len is not None and truncated:
            room = max_len - frame
            if room < frame:
                raise UserError(
                    f"a length of {max_len} leaves no room for a token of each sentence; raise it."
                )
            kept = min(len(a), max(room - len(b), (room + 1) // 2))
            a, b = a[:kept], b[: room - kept]
        ids = [self.cls_id, *a] if pair is None else [self.cls_id, *a, self.sep_id, *b]
        segments = np.zeros(len(ids), np.int32)
        if pair is not None:
            segments[len(a) + 2 :] = 1
        return Encoded(np.array(ids, np.int32), segments, starts[starts <= len(a)], truncated)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`, words separated by one space; [PAD] and [CLS] are omitted.

        Raises:
            ValueError: an id is out of range.
        """
        parts: list[list[int]] = [[]]
        for token in map(int, ids):
            if not 0 <= token < self.vocab_size:
                raise ValueError(f"token id {token} is not in 0 .. {self.vocab_size - 1}")
            if token == self.sep_id:
                parts.append([])
            elif token not in (PAD, self.cls_id):
                parts[-1].append(token)
        return f" {SPECIALS[SEP]} ".join(self._join(part) for part in parts).strip()

    def _word_by_word(self, words: Sequence[str], most: int | None) -> list[tuple[int, ...]]:
        """The token ids of each word, up to the word with which there are more than `most`."""
        tokens: list[tuple[int, ...]] = []
        count = 0
        for word in words:
            tokens.append(self._ids_of(word))
            count += len(tokens[-1])
            if most is not None and count > most:
                break
        return tokens

    def record(self) -> dict[str, Any]:
        """The entries of `to_json` that every tokenizer has; most are for programs without narrowgauge."""
        return {
            "words": self.splitter,
            "word_pattern": WORD_PATTERNS[self.splitter],
            "longest_word": LONGEST_WORD,
            "specials": dict(zip(SPECIALS, (PAD, self.unk_id, self.cls_id, self.sep_id), strict=True)),
        }

    def _ids_of(self, word: str) -> tuple[int, ...]:
        if len(word) > LONGEST_WORD:
            return (self.unk_id,)
        ids = self._cache.get(word)
        if ids is None:
            ids = self._word_ids(word) or (self.unk_id,)
            self._cache[word] = ids
        return ids


class WordTokenizer(Tokenizer):
    """One token per word; a word outside the vocabulary is [UNK]."""

    def __init__(self, tokens: Sequence[str], *, splitter: Splitter, lowercase: bool = True) -> None:
        """A tokenizer with the ids of `tokens` after those of the specials, in the given order.

        Raises:
            ValueError: a token is repeated or is a special.
        """
        super().__init__(splitter)
        self.lowercase = lowercase
        self._tokens = (*SPECIALS, *tokens)
        self._ids = {token: index for index, token in enumerate(self._tokens)}
        if len(self._ids) != len(self._tokens):
            raise ValueError("its tokens must differ from each other and from the specials")

    @classmethod
    def train(
        cls, examples: Iterable[Example], *, splitter: Splitter, min_count: int = 2, lowercase: bool = True
    ) -> WordTokenizer:
        """The vocabulary of `examples`, ordered by frequency; words of equal frequency in code point order.

        Args:
            examples: The training split.
            splitter: The rule that split it into words.
            min_count: Words that occur less often are omitted. With 1, no training sentence has an unknown word, and
                the model does not learn to handle one.
            lowercase: Whether letter case is ignored.
        """
        counts = Counter(_normal(word, lowercase) for word in readable_words(examples))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        kept = [word for word, count in ranked if count >= min_count and word not in SPECIALS]
        return cls(kept, splitter=splitter, lowercase=lowercase)

    @property
    def vocab_size(self) -> int:
        """Number of token ids, specials included."""
        return len(self._tokens)

    def to_json(self) -> dict[str, Any]:
        """Kind and vocabulary, for `tokenizer_from_json`."""
        tokens = list(self._tokens[len(SPECIALS) :])
        return {"kind": "word", **self.record(), "lowercase": self.lowercase, "tokens": tokens}

    def _word_ids(self, word: str) -> tuple[int, ...]:
        index = self._ids.get(_normal(word, self.lowercase), UNK)
        # A word spelled like a special is text.
        return (index if index >= len(SPECIALS) else UNK,)

    def _join(self, ids: Sequence[int]) -> str:
        return " ".join(self._tokens[index] for index in ids)


class WordPieceTokenizer(Tokenizer):
    """Words as pieces; `train_wordpiece.train_word_piece` trains such a vocabulary."""

    def __init__(self, definition: Mapping[str, Any], *, splitter: Splitter) -> None:
        """A tokenizer from the content of a tokenizer.json.

        Raises:
            UserError: the definition is not supported, or lacks [PAD] as id 0, [UNK], [CLS] or [SEP].
        """
        super().__init__(splitter)
        if not isinstance(definition, Mapping):
            raise UserError("the tokenizer must be a JSON object; give a tokenizer.json.")
        self._encoder = WordPiece(definition)
        ids = [self._encoder.ids.get(special) for special in SPECIALS]
        if None in ids or ids[PAD] != 0:
            raise UserError(
                "the tokenizer must have the tokens [PAD], with id 0, [UNK], [CLS] and [SEP]; choose another one."
            )
        _, self.unk_id, self.cls_id, self.sep_id = cast("list[int]", ids)

    @property
    def vocab_size(self) -> int:
        """Number of token ids, specials included."""
        return len(self._encoder.ids)

    def to_json(self) -> dict[str, Any]:
        """Kind and definition, for `tokenizer_from_json`."""
        return {"kind": "wordpiece", **self.record(), "tokenizer": self._encoder.definition()}

    def _word_ids(self, word: str) -> tuple[int, ...]:
        # A definition may have the specials as added tokens, which are recognized in a word; there they are text.
        structure = (PAD, self.cls_id, self.sep_id)
        ids = self._encoder.encode(unicodedata.normalize("NFC", word))
        return tuple(self.unk_id if index in structure else index for index in ids)

    def _join(self, ids: Sequence[int]) -> str:
        return self._encoder.join(ids)


def tokenizer_from_json(value: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer whose `to_json` gave `value`.

    Raises:
        UserError: `value` is not a valid record of a tokenizer, or this version would split its sentences differently.
    """
    kind = value.get("kind")
    if kind in ("word", "wordpiece") and "words" not in value:
        raise UserError(
            "the stored tokenizer does not say how sentences are split into words: an older narrowgauge wrote it; "
            "train and export the model again."
        )
    splitter = next((name for name in WORD_PATTERNS if name == value.get("words")), None)
    if splitter is None:
        raise _damaged("its rule for words is not supported")
    if kind == "word":
        tokenizer: Tokenizer = _word_tokenizer(value, splitter)
    elif kind == "wordpiece" and isinstance(value.get("tokenizer"), Mapping):
        tokenizer = WordPieceTokenizer(value["tokenizer"], splitter=splitter)
    else:
        raise _damaged("its kind is not supported")
    for key, entry in tokenizer.record().items():
        if value.get(key) != entry:
            raise _damaged(f"its {key!r} does not match this version of narrowgauge")
    return tokenizer


def _word_tokenizer(value: Mapping[str, Any], splitter: Splitter) -> WordTokenizer:
    tokens, lowercase = value.get("tokens"), value.get("lowercase")
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise _damaged("its tokens must be a list of strings")
    if not isinstance(lowercase, bool):
        raise _damaged("'lowercase' must be true or false")
    try:
        return WordTokenizer(tokens, splitter=splitter, lowercase=lowercase)
    except ValueError as error:
        raise _damaged(str(error)) from None


def _damaged(why: str) -> UserError:
    return UserError(f"the stored tokenizer is damaged ({why}); train or export the model again.")


def _normal(word: str, lowercase: bool) -> str:
    word = unicodedata.normalize("NFC", word)
    # Lower case may be decomposed.
    return unicodedata.normalize("NFC", word.lower()) if lowercase else word


def readable_words(examples: Iterable[Example]) -> Iterator[str]:
    """The words of `examples` that are no longer than `LONGEST_WORD`."""
    for example in examples:
        for word in (*example.words, *(example.pair or ())):
            if len(word) <= LONGEST_WORD:
                yield word
