"""Trains a WordPiece vocabulary: the only module that imports the library `tokenizers`.

Encoding needs no library: `WordPieceTokenizer` reads what is trained here.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from typing import Any

from ..errors import UserError
from .corpus import Example, Splitter
from .tokenizer import SPECIALS, UNK, WordPieceTokenizer, readable_words


def train_word_piece(
    examples: Iterable[Example],
    *,
    splitter: Splitter,
    vocab_size: int = 4096,
    min_count: int = 2,
    lowercase: bool = True,
) -> WordPieceTokenizer:
    """A vocabulary of at most `vocab_size` pieces of the words of `examples` (specials included).

    The same examples give the same vocabulary.

    Args:
        examples: the training split.
        splitter: the rule that split it into words.
        vocab_size: the maximum number of tokens.
        min_count: pieces that occur less often are omitted.
        lowercase: whether letter case and accents are ignored.

    Raises:
        UserError: the package `tokenizers` is missing.
    """
    library = _tokenizers()
    words = [unicodedata.normalize("NFC", word) for word in readable_words(examples)]
    backend = _backend(library, {special: index for index, special in enumerate(SPECIALS)}, lowercase)
    # The trainer numbers inner letters ("##e") in the order of a hash table unless they are given.
    letters = sorted({letter for word in words for letter in backend.normalizer.normalize_str(word)})
    trainer = library.trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_count,
        special_tokens=[*SPECIALS, *(f"##{letter}" for letter in letters)],
        show_progress=False,
    )
    backend.train_from_iterator(words, trainer)
    # A library tokenizer of the vocabulary alone: the trained one has the specials as added tokens.
    definition = json.loads(_backend(library, backend.get_vocab(), lowercase).to_str())
    return WordPieceTokenizer(definition, splitter=splitter)


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise UserError(
            f"training a WordPiece vocabulary needs the package tokenizers ({error}); "
            "pip install 'narrowgauge[train]'."
        ) from None
    return tokenizers


def _backend(library: Any, vocabulary: dict[str, int], lowercase: bool) -> Any:
    """A library tokenizer over `vocabulary`, without added tokens or a template."""
    backend = library.Tokenizer(library.models.WordPiece(vocabulary, unk_token=SPECIALS[UNK]))
    backend.normalizer = library.normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    return backend
