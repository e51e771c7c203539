"""What `model.onnx` says of itself to a reader without narrowgauge: from a sentence to inputs, from outputs to names.

All numbers and names that a program needs are in the header (`onnx_write.Header`); the text says what they mean.
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
        TOKENS: "Token ids, [CLS] first; padded at the end with any id",
        SEGMENTS: "0 for [CLS], the first sentence and [SEP]; 1 for the second sentence; padded with either",
    }.get(name, "Number of tokens of each sentence, padding not counted") + _SEE


def output_text(graph: Graph, name: str) -> str:
    """The doc string of an output."""
    tasks = [task for task, value in graph.outputs.items() if value == name]
    fmt = graph.fmt(name)
    return f"Logits ({printable(', '.join(tasks))}): integers, to be multiplied by 2^{-fmt.frac}" + _SEE


def model_text(graph: Graph) -> str:
    """The doc string of the model."""
    meta = graph.metadata
    paragraphs = [
        f"{printable(meta.name)}: a transformer in integers, written by narrowgauge.",
        'The metadata property "header" is a JSON object, called H here; H.metadata.tokenizer is called K, and '
        "H.metadata.labels is called L.",
        *(
            _words(meta.tokenizer)
            if meta.tokenizer
            else ["It carries no vocabulary: token ids are the caller's."]
        ),
        *_layout(graph),
        f"INPUTS, int64: {TOKENS} (batch, T), lengths (batch)"
        f"{f', {SEGMENTS} (batch, T)' if graph.segments else ''}. Shorter sentences of a batch are padded at their end "
        "with any id; lengths has the number of tokens of each, and what comes out for padding means nothing.",
        *_outputs(graph),
    ]
    return "\n\n".join(paragraphs)


def _words(tokenizer: Mapping[str, Any]) -> list[str]:
    specials = tokenizer.get("specials")
    named = specials if isinstance(specials, Mapping) else {}
    ids = ", ".join(printable(f"{index} is {name}") for name, index in named.items())
    lower = (
        "then lower-cased, then normalized to form C once more" if tokenizer.get("lowercase") is True else ""
    )
    if tokenizer.get("kind") == "word":
        token = (
            "Each word is one token. The word is normalized to Unicode's form C"
            f"{f', {lower}' if lower else '; letter case is kept'}. If K.tokens has it at place i, counted from 0, its "
            f"id is {len(named)} + i; else, or if it is written like one of the names above, its id is that of [UNK]."
        )
    else:
        token = (
            "A word is normalized to Unicode's form C and cut into tokens, by itself, as the package `tokenizers` does "
            "with K.tokenizer, a tokenizer.json, adding no special tokens. Where it gives [PAD], [CLS] or [SEP], the "
            "id is that of [UNK]; a word that has no token is one [UNK]."
        )
    splitter = printable(str(tokenizer.get("words")))
    return [
        "WORDS. The words of a sentence are the matches, from left to right, of the regular expression K.word_pattern "
        f"(as Python's re.findall gives them for text in Unicode): the splitter '{splitter}'.",
        f"TOKEN IDS. {ids} (K.specials). {token} A word of more than K.longest_word characters, counted before it is "
        "normalized, is [UNK].",
    ]


def _layout(graph: Graph) -> list[str]:
    most = graph.metadata.max_length
    if not graph.segments:
        return [
            "TOKENS. A sentence is [CLS] and then the tokens of its words, in their order. It has at most "
            f"{most} tokens (H.metadata.max_length), [CLS] included; what is more is cut off at the end."
        ]
    return [
        "TOKENS. A pair of sentences is [CLS], the tokens of the first, [SEP], the tokens of the second; segments is "
        f"0 up to and including [SEP] and 1 after it. It has at most {most} tokens (H.metadata.max_length), [CLS] and "
        f"[SEP] included. With a and b tokens in the sentences and a + b > {most} - 2, the first keeps "
        f"min(a, max({most} - 2 - b, ({most} - 1) // 2)) tokens and the second what room is left; they are cut at "
        "their ends."
    ]


def _outputs(graph: Graph) -> list[str]:
    named = {"label": "L.intents", "slots": "L.slots"}
    texts = [
        f"{value} has the logits of the task '{printable(task)}', integers to be multiplied by "
        f"2^{-graph.fmt(value).frac}" + (f", in the order of {named[task]}" if task in named else "")
        for task, value in graph.outputs.items()
    ]
    slots = (
        " The slot tag of a word is read at the word's first token: for the first word that is place 1 of T, after "
        "[CLS]. Words that were cut off have none."
        if "slots" in graph.outputs
        else ""
    )
    return [
        f"OUTPUTS, as H.outputs names them. {'. '.join(texts)}. The answer is the name at the largest logit, at the "
        f"first one of equal ones.{slots}"
    ]
