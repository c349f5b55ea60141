"""Random generators that depend only on a key."""

import hashlib

import numpy as np


def generator_for(*key: object) -> np.random.Generator:
    """Return a random generator that is a pure function of the key.

    The key is hashed by BLAKE2, because Python's `hash` differs between processes.
    """
    text = "\x1f".join(str(part) for part in key)
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest))
