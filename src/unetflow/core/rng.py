"""Random generators that depend on a key alone."""

import hashlib

import numpy as np


def generator_for(*key: object) -> np.random.Generator:
    """Return a random generator that is a pure function of the key.

    Python's own `hash` differs from process to process, hence the digest.
    """
    text = "\x1f".join(str(part) for part in key)
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest))
