"""Made-up tables of samples and rules that split them."""

import hashlib

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from unetflow.config.ingestion import SplitParameters
from unetflow.data.splitting import SplitRule, split_samples

SHARES = st.tuples(st.floats(0.05, 0.4), st.floats(0.05, 0.4))
GROUP_BY_LETTER = r"^([a-z]+)_"


def make_table(ids, foreground=0.5, groups=None, splits=None):
    ids = list(ids)
    return pd.DataFrame(
        {
            "id": pd.Series(ids, dtype=str),
            "image_sha256": [f"content of {i}" for i in ids],
            "source_group": groups if groups is not None else [None] * len(ids),
            "source_split": splits if splits is not None else [None] * len(ids),
            "foreground": np.broadcast_to(np.asarray(foreground, float), len(ids)),
        }
    )


def names(count):
    return [f"cell_{number}" for number in range(count)]


def rule(strategy="random", validation=0.2, test=0.2, seed=0, group=None, folds=0):
    parameters = SplitParameters(
        strategy=strategy, validation=validation, test=test, group=group, folds=folds
    )
    return SplitRule(parameters, seed)


def splits_of(ids, *arguments, **options):
    return split_samples(make_table(ids), rule(*arguments, **options))["split"].tolist()


def number_of(seed, name):
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=7).hexdigest()
    return int(digest, 16) / 2**56


def sides(table):
    return dict(zip(table["id"], zip(table["split"], table["fold"], strict=True), strict=True))
