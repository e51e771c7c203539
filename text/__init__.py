"""Sentences with labels, from files or the built-in corpus; their words, token ids, batches and scores.

Needs numpy only. Two functions need more: `train_wordpiece.train_word_piece` the package `tokenizers`, and `load`
of an `hf:` source the package `datasets`.
"""

from .corpus import SPLIT_SEED, SPLITS, WORD_PATTERNS, Corpus, Example, Splitter, split_words
from .encoding import IGNORED, UNKNOWN, Batch, EncodedSplit, Labels, batches, encode_split
from .readers import load, load_split
from .tokenizer import SPECIALS, Encoded, Tokenizer, WordPieceTokenizer, WordTokenizer, tokenizer_from_json

__all__ = [
    "IGNORED",
    "SPECIALS",
    "SPLITS",
    "SPLIT_SEED",
    "UNKNOWN",
    "WORD_PATTERNS",
    "Batch",
    "Corpus",
    "Encoded",
    "EncodedSplit",
    "Example",
    "Labels",
    "Splitter",
    "Tokenizer",
    "WordPieceTokenizer",
    "WordTokenizer",
    "batches",
    "encode_split",
    "load",
    "load_split",
    "split_words",
    "tokenizer_from_json",
]
