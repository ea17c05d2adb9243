"""Traefik's docker labels, of versions 1, 2 and 3, said in the labels of this library.

Standard library only, because it is copied whole into the Lambda's asset.
"""

from traefik_labels.model import Container, Outcome, Remark, Translation
from traefik_labels.settings import TraefikLabels
from traefik_labels.translation import as_behind_traefik, in_their_words, translate, translate_all, with_own

__all__ = [
    "Container",
    "Outcome",
    "Remark",
    "TraefikLabels",
    "Translation",
    "as_behind_traefik",
    "in_their_words",
    "translate",
    "translate_all",
    "with_own",
]
