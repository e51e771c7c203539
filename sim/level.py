"""What every level of the verification ladder offers; see `graph.level`."""

from ..graph.level import IntArray, Level, Sentence

__all__ = ["IntArray", "Level", "Sentence"]
