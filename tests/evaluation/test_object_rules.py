import pytest

from unetflow.config.mask_export import ObjectParameters
from unetflow.data.object_sizes import RemovalCost
from unetflow.evaluation.object_rules import describe_doubt, describe_removal
from unetflow.inference.postprocessing import Postprocessing


def removing(size, **cost):
    removal = RemovalCost(**{"area": size, "pieces": False, **cost}) if cost else None
    return Postprocessing(threshold=0.5, min_object_size=size, removal=removal)


@pytest.mark.parametrize(
    ("postprocessing", "sentence"),
    [
        (
            removing(28, lost=3, objects=1204),
            "Objects of fewer than 28 pixels are removed: 3 of the 1,204 training objects (0.2 %) "
            "are smaller.",
        ),
        (
            removing(1500, lost=1, objects=100, pieces=True),
            "Objects of fewer than 1,500 pixels are removed: 1 of the 100 training objects, "
            "connected pieces where a mask does not number them, (1.0 %) is smaller.",
        ),
        (removing(28), "Objects of fewer than 28 pixels are removed."),
        (removing(28, area=14, lost=0, objects=50), "Objects of fewer than 28 pixels are removed."),
        (removing(0), "No object is removed for being small."),
    ],
)
def test_what_is_removed_is_said_with_its_cost(postprocessing, sentence):
    assert describe_removal(postprocessing) == sentence


def test_counts_are_doubted_only_where_it_is_known_that_nothing_numbers_its_objects():
    assert describe_doubt(None) == describe_doubt(True) == ""
    plain = describe_doubt(False)
    assert plain.startswith(
        "No sample numbers its objects, so touching objects are found and counted as one: do not "
        "trust counts of touching objects."
    )
    assert "`ingestion.masks.instances: mixed`" in plain
    assert describe_doubt(False, ObjectParameters()) == plain
    own = describe_doubt(False, ObjectParameters(method="watershed"))
    assert "were not compared with any true object" in own
