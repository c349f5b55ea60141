import pytest

from tests.training.test_planner import _fingerprint
from unetflow.config.model import ModelParameters
from unetflow.data.object_sizes import ObjectStatistics
from unetflow.training.planner.instances import choose_instances

FINGERPRINT = _fingerprint()


def fingerprint(touching, objects=1000, images=20):
    counted = ObjectStatistics(
        images=images, objects=objects, touching=touching, area_percentiles={}
    )
    return FINGERPRINT.model_copy(update={"objects": counted})


def model(instances):
    return ModelParameters(base_filters=8, depth=2, instances=instances)


@pytest.mark.parametrize(
    ("touching", "expected"), [(0, "none"), (19, "none"), (20, "both"), (1000, "both")]
)
def test_objects_that_touch_are_separated_where_they_are_numbered(touching, expected):
    settled, why = choose_instances(model("auto"), fingerprint(touching))
    assert settled.instances == expected
    assert why.endswith("of the 1000 training objects touch another one")


def test_without_numbered_objects_nothing_is_separated():
    for known in (FINGERPRINT.model_copy(update={"objects": None}), fingerprint(0, objects=0)):
        assert choose_instances(model("auto"), known)[0].instances == "none"


@pytest.mark.parametrize(("images", "expected"), [(10, "both"), (9, "none")])
def test_objects_are_learned_where_half_of_the_training_samples_number_them(images, expected):
    settled, why = choose_instances(model("auto"), fingerprint(500, images=images))
    assert settled.instances == expected
    assert why.startswith("only 9 of the 20 training samples") == (images == 9)


@pytest.mark.parametrize("given", ["none", "boundary", "distance", "both"])
def test_what_is_given_stays(given):
    assert choose_instances(model(given), fingerprint(500)) == (model(given), "")
