"""From words to token ids and back: a word-level and a WordPiece vocabulary behind one face.

Both number the padding 0, and both tokenize word by word, so that a slot tag always finds the first token of
its word. They travel with the model as JSON.
"""

from __future__ import annotations

import json
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import UserError
from ...files import read_json
from .corpus import Example

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
PAD, UNK, CLS, SEP = range(len(SPECIALS))

Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Encoded:
    """The tokens of one sentence or pair of sentences.

    Attributes:
        ids: [L] token ids: [CLS] a1 .. an, or [CLS] a1 .. an [SEP] b1 .. bm.
        segments: [L] 0 up to and including [SEP], 1 after it.
        word_starts: [W] position of the first token of every word of the first sentence that is still there.
        truncated: Whether tokens were cut off to keep to the maximum length.
    """

    ids: Int32
    segments: Int32
    word_starts: Int32
    truncated: bool


class Tokenizer(ABC):
    """What the model and its tools know of a vocabulary."""

    unk_id: int = UNK
    cls_id: int = CLS
    sep_id: int = SEP

    def __init__(self) -> None:
        self._cache: dict[str, tuple[int, ...]] = {}

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of token ids; every id is in 0 .. vocab_size - 1."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """All of the tokenizer, for `tokenizer_from_json`."""

    @abstractmethod
    def _word_ids(self, word: str) -> tuple[int, ...]:
        """The tokens of one word; may be empty, which stands for an unknown word."""

    @abstractmethod
    def _join(self, ids: Sequence[int]) -> str:
        """The text of ordinary tokens and unknown words."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def encode(
        self, words: Sequence[str], pair: Sequence[str] | None = None, max_len: int | None = None
    ) -> Encoded:
        """The tokens of a sentence, or of two, cut to `max_len` tokens.

        A pair that is too long loses tokens from the end of whichever sentence is then the longer.

        Raises:
            UserError: `max_len` leaves no room for one token of each sentence.
        """
        first = [self._ids_of(word) for word in words]
        starts = np.cumsum([1, *(len(ids) for ids in first)], dtype=np.int32)[:-1]
        a = [token for ids in first for token in ids]
        b = [token for word in pair or () for token in self._ids_of(word)]
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
        """The text of `ids`, words apart by one space; [PAD] and [CLS] are left out.

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

    def _ids_of(self, word: str) -> tuple[int, ...]:
        ids = self._cache.get(word)
        if ids is None:
            ids = self._word_ids(word) or (self.unk_id,)
            self._cache[word] = ids
        return ids


class WordTokenizer(Tokenizer):
    """One token a word; a word outside the vocabulary is [UNK]."""

    def __init__(self, tokens: Sequence[str], *, lowercase: bool = True) -> None:
        """A tokenizer of `tokens`, whose ids follow those of the specials in the given order.

        Raises:
            ValueError: a token is repeated or a special.
        """
        super().__init__()
        self.lowercase = lowercase
        self._tokens = (*SPECIALS, *tokens)
        self._ids = {token: index for index, token in enumerate(self._tokens)}
        if len(self._ids) != len(self._tokens):
            raise ValueError("the tokens of a vocabulary differ from one another and from the specials")

    @classmethod
    def train(
        cls, examples: Iterable[Example], *, min_count: int = 2, lowercase: bool = True
    ) -> WordTokenizer:
        """The vocabulary of `examples`: most frequent word first, equal counts in code point order.

        Args:
            examples: The training split.
            min_count: Rarer words are left out. At 1, no training sentence has an unknown word, and the model
                never learns what to do with one.
            lowercase: Whether letter case is ignored.
        """
        counts = Counter(_normal(word, lowercase) for word in _words(examples))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        kept = [word for word, count in ranked if count >= min_count and word not in SPECIALS]
        return cls(kept, lowercase=lowercase)

    @property
    def vocab_size(self) -> int:
        """Number of token ids, specials included."""
        return len(self._tokens)

    def to_json(self) -> dict[str, Any]:
        """Kind and vocabulary, for `tokenizer_from_json`."""
        return {"kind": "word", "lowercase": self.lowercase, "tokens": list(self._tokens[len(SPECIALS) :])}

    def _word_ids(self, word: str) -> tuple[int, ...]:
        index = self._ids.get(_normal(word, self.lowercase), UNK)
        # A word that is spelled like a special is text, not structure.
        return (index if index >= len(SPECIALS) else UNK,)

    def _join(self, ids: Sequence[int]) -> str:
        return " ".join(self._tokens[index] for index in ids)


class WordPieceTokenizer(Tokenizer):
    """Words in pieces, by the `tokenizers` library (optional package)."""

    def __init__(self, definition: Mapping[str, Any]) -> None:
        """A tokenizer from the content of a tokenizer.json.

        Raises:
            UserError: the package `tokenizers` is missing, or the definition isn't one that fits here.
        """
        super().__init__()
        library = _tokenizers()
        try:
            self._backend = library.Tokenizer.from_str(json.dumps(definition))
        except Exception as error:
            raise UserError(
                f"The tokenizer definition is not valid ({error}); give a tokenizer.json."
            ) from None
        self._backend.no_truncation()
        self._backend.no_padding()
        ids = [self._backend.token_to_id(special) for special in SPECIALS]
        self._size: int = self._backend.get_vocab_size(with_added_tokens=True)
        if None in ids or ids[PAD] != 0:
            raise UserError(
                "The tokenizer must define [PAD] as id 0, [UNK], [CLS] and [SEP]; choose another one."
            )
        _, self.unk_id, self.cls_id, self.sep_id = ids

    @classmethod
    def from_file(cls, path: Path) -> WordPieceTokenizer:
        """A tokenizer from an existing tokenizer.json."""
        return cls(read_json(path))

    @classmethod
    def train(
        cls,
        examples: Iterable[Example],
        *,
        vocab_size: int = 4096,
        min_count: int = 2,
        lowercase: bool = True,
    ) -> WordPieceTokenizer:
        """A vocabulary of at most `vocab_size` pieces of the words of `examples` (specials included).

        The same examples give the same vocabulary.
        """
        library = _tokenizers()
        words = [unicodedata.normalize("NFC", word) for word in _words(examples)]
        backend = _word_piece(library, {special: index for index, special in enumerate(SPECIALS)}, lowercase)
        # The trainer numbers inner letters ("##e") in the order of a hash table unless they are given.
        letters = sorted({letter for word in words for letter in backend.normalizer.normalize_str(word)})
        trainer = library.trainers.WordPieceTrainer(
            vocab_size=vocab_size,
            min_frequency=min_count,
            special_tokens=[*SPECIALS, *(f"##{letter}" for letter in letters)],
            show_progress=False,
        )
        backend.train_from_iterator(words, trainer)
        return cls(json.loads(_word_piece(library, backend.get_vocab(), lowercase).to_str()))

    @property
    def vocab_size(self) -> int:
        """Number of token ids, specials included."""
        return self._size

    def to_json(self) -> dict[str, Any]:
        """Kind and vocabulary, for `tokenizer_from_json`."""
        return {"kind": "wordpiece", "tokenizer": json.loads(self._backend.to_str())}

    def _word_ids(self, word: str) -> tuple[int, ...]:
        # The library finds specials inside text; here they are text, not structure.
        structure = (PAD, self.cls_id, self.sep_id)
        ids = self._backend.encode(unicodedata.normalize("NFC", word), add_special_tokens=False).ids
        return tuple(self.unk_id if index in structure else index for index in ids)

    def _join(self, ids: Sequence[int]) -> str:
        text = " ".join(self._backend.id_to_token(index) for index in ids)
        return text.replace(" ##", "")


def tokenizer_from_json(value: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer whose `to_json` gave `value`.

    Raises:
        UserError: `value` describes no tokenizer.
    """
    try:
        if value["kind"] == "word":
            return WordTokenizer(value["tokens"], lowercase=bool(value["lowercase"]))
        if value["kind"] == "wordpiece":
            return WordPieceTokenizer(value["tokenizer"])
    except (KeyError, TypeError, ValueError):
        pass
    raise UserError("The stored tokenizer is damaged; train or export the model anew.")


def _normal(word: str, lowercase: bool) -> str:
    word = unicodedata.normalize("NFC", word)
    # Lower case can come out decomposed again.
    return unicodedata.normalize("NFC", word.lower()) if lowercase else word


def _words(examples: Iterable[Example]) -> Iterable[str]:
    for example in examples:
        yield from example.words
        yield from example.pair or ()


def _tokenizers() -> Any:
    """The library, which only WordPiece vocabularies need."""
    try:
        import tokenizers
    except ImportError as error:
        raise UserError(
            f"WordPiece vocabularies need the package tokenizers ({error}); pip install 'narrowgauge[train]'."
        ) from None
    return tokenizers


def _word_piece(library: Any, vocabulary: dict[str, int], lowercase: bool) -> Any:
    """A library tokenizer over `vocabulary`, without added specials or a template."""
    backend = library.Tokenizer(library.models.WordPiece(vocabulary, unk_token=SPECIALS[UNK]))
    backend.normalizer = library.normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    backend.decoder = library.decoders.WordPiece()
    return backend
