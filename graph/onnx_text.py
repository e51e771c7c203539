"""The documentation in `model.onnx` for a reader without narrowgauge: from a sentence to inputs, from outputs to names.

All numbers and names that a program needs are in the header (`onnx_write.Header`); the text explains them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import printable
from .graph import Graph
from .nodes import SEGMENTS, TOKENS

_SEE = "; see the doc_string of the model."


def input_text(name: str) -> str:
    """The doc string of an input."""
    return {
        TOKENS: "Token ids, starting with [CLS]; padded at the end with any id",
        SEGMENTS: "0 for [CLS], the first sentence and [SEP]; 1 for the second sentence; padded with 0 or 1",
    }.get(name, "The number of tokens in each sentence, without padding") + _SEE


def output_text(graph: Graph, name: str) -> str:
    """The doc string of an output."""
    tasks = [task for task, value in graph.outputs.items() if value == name]
    fmt = graph.fmt(name)
    return f"Logits ({printable(', '.join(tasks))}): integers, in units of 2^{-fmt.frac}" + _SEE


def model_text(graph: Graph) -> str:
    """The doc string of the model."""
    meta = graph.metadata
    paragraphs = [
        f"{printable(meta.name)}: a transformer in integers, written by narrowgauge.",
        'The metadata property "header" is a JSON object. Below, H is that object, K is H.metadata.tokenizer and '
        "L is H.metadata.labels.",
        *(
            _words(meta.tokenizer)
            if meta.tokenizer
            else ["The model has no vocabulary: the caller must know the token ids."]
        ),
        *_layout(graph),
        f"INPUTS, int64: {TOKENS} (batch, T), lengths (batch)"
        f"{f', {SEGMENTS} (batch, T)' if graph.segments else ''}. The shorter sentences of a batch are padded at the "
        "end with any id; lengths has the number of tokens in each sentence. Ignore the outputs at padded positions.",
        *_outputs(graph),
    ]
    return "\n\n".join(paragraphs)


def _words(tokenizer: Mapping[str, Any]) -> list[str]:
    specials = tokenizer.get("specials")
    named = specials if isinstance(specials, Mapping) else {}
    ids = ", ".join(printable(f"{index} is {name}") for name, index in named.items())
    lower = "then lower-cased, then normalized to form C again" if tokenizer.get("lowercase") is True else ""
    if tokenizer.get("kind") == "word":
        token = (
            "Each word is one token. The word is normalized to Unicode normalization form C"
            f"{f', {lower}' if lower else '; letter case is kept'}. If the word is K.tokens[i], with i counted from 0, "
            f"its id is {len(named)} + i. If it is not in K.tokens, or equals one of the names above, its id is that "
            "of [UNK]."
        )
    else:
        token = (
            "Each word is normalized to Unicode normalization form C and split into tokens on its own, as the package "
            "`tokenizers` does with K.tokenizer (a tokenizer.json) without adding special tokens. Replace the ids of "
            "[PAD], [CLS] and [SEP] in the result by that of [UNK]. A word without tokens is one [UNK]."
        )
    splitter = printable(str(tokenizer.get("words")))
    return [
        "WORDS. The words of a sentence are the matches, from left to right, of the regular expression K.word_pattern, "
        f"in the syntax of Python's re.findall for Unicode text: the splitter '{splitter}'.",
        f"TOKEN IDS. {ids} (K.specials). {token} A word with more than K.longest_word characters before normalization "
        "is [UNK].",
    ]


def _layout(graph: Graph) -> list[str]:
    most = graph.metadata.max_length
    if not graph.segments:
        return [
            "TOKENS. A sentence is [CLS] followed by the tokens of its words, in order. It has at most "
            f"{most} tokens (H.metadata.max_length), [CLS] included; a longer one is truncated at the end."
        ]
    return [
        "TOKENS. A pair of sentences is [CLS], the tokens of the first, [SEP], the tokens of the second; segments is "
        f"0 up to and including [SEP], and 1 after it. It has at most {most} tokens (H.metadata.max_length), [CLS] and "
        f"[SEP] included. If the sentences have a and b tokens and a + b > {most} - 2, the first is truncated at the "
        f"end to min(a, max({most} - 2 - b, ({most} - 1) // 2)) tokens, and the second to the tokens that remain."
    ]


def _outputs(graph: Graph) -> list[str]:
    named = {"label": "L.intents", "slots": "L.slots"}
    texts = [
        f"{value} has the logits of the task '{printable(task)}', integers in units of "
        f"2^{-graph.fmt(value).frac}" + (f", in the order of {named[task]}" if task in named else "")
        for task, value in graph.outputs.items()
    ]
    slots = (
        " The slot tag of a word is that of its first token; the first token of the first word is at position 1 of T, "
        "after [CLS]. Words that were truncated have no tag."
        if "slots" in graph.outputs
        else ""
    )
    return [
        f"OUTPUTS, as named in H.outputs. {'. '.join(texts)}. The answer is the name at the index of the largest "
        f"logit, or the first of several equal ones.{slots}"
    ]
