"""What the highest and the lowest images are like: in the picture, and among their neighbours."""

from influence_lib.studies.patterns.controls import AGAINST, ENDS, Matched, differences, ends_of, matched_controls
from influence_lib.studies.patterns.layout import layout
from influence_lib.studies.patterns.neighbours import (
    NEIGHBOURS,
    Neighbourhoods,
    neighbour_statistics,
    neighbourhoods,
)
from influence_lib.studies.patterns.picture import PICTURE, picture_statistics
from influence_lib.studies.patterns.sentences import advice, clear, in_words, which_ends_cluster
from influence_lib.studies.patterns.study import BESIDE, stored_ends

__all__ = [
    "AGAINST",
    "BESIDE",
    "ENDS",
    "NEIGHBOURS",
    "PICTURE",
    "Matched",
    "Neighbourhoods",
    "advice",
    "clear",
    "differences",
    "ends_of",
    "in_words",
    "layout",
    "matched_controls",
    "neighbour_statistics",
    "neighbourhoods",
    "picture_statistics",
    "stored_ends",
    "which_ends_cluster",
]
