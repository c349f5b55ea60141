"""A small segmenter."""

from tests.support.network_fixtures import random, segmenter

__all__ = ["random", "segmenter"]
