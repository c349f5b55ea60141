"""What the planner chooses, in cases worked out by hand and in random ones."""

import math
from types import SimpleNamespace

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from unetflow.config.model import ModelParameters
from unetflow.config.parameters import BudgetParameters
from unetflow.config.training import TrainingParameters
from unetflow.core.errors import InputError
from unetflow.core.geometry import unet_geometry
from unetflow.data.fingerprint import Fingerprint, ImageSize, Spread
from unetflow.data.intensity import IntensityStatistics
from unetflow.data.object_sizes import ObjectStatistics
from unetflow.training.planner.choices import PARAMETERS, deepest_edge
from unetflow.training.planner.network_cost import Speed
from unetflow.training.planner.plan_training import plan_training

FAST = Speed(multiply_adds=1e15, values=1e12)
USUAL = Speed(multiply_adds=60e9, values=200e6)
NAMES = tuple(name.rpartition(".")[2] for name in PARAMETERS.values())


def _fingerprint(
    height=512, width=512, training=20, validation=4, channels=3, classes=2, objects=None
):
    return Fingerprint(
        digest="",
        samples={"train": training, "validation": validation, "test": 5},
        channels=channels,
        dtype="uint8",
        height=Spread(smallest=1.0, median=float(height), largest=float(height)),
        width=Spread(smallest=1.0, median=float(width), largest=float(width)),
        largest=ImageSize(height=height, width=width),
        intensity=IntensityStatistics([0.0], [1.0], [0.5], [0.1]),
        class_frequencies={f"class_{number}": 1 / classes for number in range(classes)},
        objects=objects,
    )


def _disks(diameter):
    """Return the statistics of objects of which 90 % are smaller than a disk."""
    percentiles = {"50": diameter**2 / 2, "90": math.pi * diameter**2 / 4, "100": diameter**3}
    return ObjectStatistics(images=20, objects=100, touching=50, area_percentiles=percentiles)


def _plan(memory_gb=16.0, minutes=60.0, speed=USUAL, given=None, **data):
    """Plan around the given parameters, whatever their section, and put all into one object."""
    given = dict.fromkeys(NAMES) | (given or {})
    of_model = {name: given.pop(name) for name in given.keys() & ModelParameters.model_fields}
    plan = plan_training(
        _fingerprint(**data),
        BudgetParameters(memory_gb=memory_gb, minutes=minutes),
        ModelParameters(**of_model),
        TrainingParameters(**given),
        speed,
    )
    settled = plan.model.model_dump() | plan.training.model_dump()
    return SimpleNamespace(**settled | plan.model_dump(exclude={"model", "training"}))


def test_with_time_and_memory_to_spare_everything_is_large():
    plan = _plan(speed=FAST)
    assert (plan.depth, plan.base_filters, plan.crop_size) == (4, 64, 256)
    assert (plan.batch_size, plan.tile) == (4, 1024)
    assert 90 < plan.epochs <= 100


def test_every_choice_has_a_reason_in_one_sentence():
    plan = _plan()
    assert set(plan.reasons) == set(NAMES)
    for reason in plan.reasons.values():
        assert "given" not in reason
        assert not reason.endswith(".")


def test_what_is_given_is_kept():
    given = {
        "depth": 2,
        "base_filters": 20,
        "crop_size": 100,
        "batch_size": 3,
        "tile": 200,
        "epochs": 7,
        "crops_per_image": 2,
    }
    plan = _plan(given=given)
    assert {name: getattr(plan, name) for name in given} == given
    assert plan.reasons == dict.fromkeys(given, "given")
    assert plan.steps == 7 * 14  # 20 images x 2 crops in batches of 3


@pytest.mark.parametrize("name", NAMES)
def test_none_means_not_given(name):
    assert _plan(given={name: None}) == _plan()


@pytest.mark.parametrize(
    ("edge", "depth", "crop"),
    [(300, 4, 256), (250, 4, 240), (100, 3, 96), (40, 2, 40), (12, 1, 16)],
)
def test_small_images_give_small_crops_and_few_halvings(edge, depth, crop):
    plan = _plan(speed=FAST, height=edge, width=2 * edge)
    assert (plan.depth, plan.crop_size) == (depth, crop)


def test_a_valid_network_gets_crops_of_its_sizes():
    plan = _plan(speed=FAST, given={"padding": "valid"})
    # 252 is 4 (2^4 - 1) more than a multiple of 16; of it 8 pixels reach the bottom.
    assert (plan.depth, plan.crop_size) == (4, 252)
    assert deepest_edge(4, "valid", 252) == 8


@pytest.mark.parametrize(
    ("diameter", "edge", "crop"), [(5, 512, 128), (40, 512, 160), (100, 512, 256), (40, 100, 96)]
)
def test_crops_are_as_large_as_the_objects_ask_for(diameter, edge, crop):
    known = {"height": edge, "width": edge, "objects": _disks(diameter)}
    plan = _plan(speed=FAST, given={"instances": "both"}, **known)
    assert plan.crop_size == crop
    without = _plan(speed=FAST, given={"instances": "none"}, **known).crop_size
    assert without == {512: 256, 100: 96}[edge]
    told = f"90 % are smaller than a disk of {diameter} pixels" in plan.reasons["crop_size"]
    assert told == (crop < without)


def test_smaller_crops_are_given_more_steps():
    objects = {"objects": _disks(20), "given": {"instances": "both"}}
    plan = _plan(minutes=20, **objects)
    assert plan.crop_size == 128
    assert plan.steps >= 4000
    wider = {64: None, 48: 64, 32: 48, 24: 32, 16: 24, 8: 16}[plan.base_filters]
    given = {"instances": "both", "base_filters": wider}
    assert _plan(minutes=20, **{**objects, "given": given}).steps < 4000
    assert "at least 4000 steps" in plan.reasons["base_filters"]


def test_a_given_crop_decides_the_depth():
    assert _plan(speed=FAST, given={"crop_size": 40}).depth == 2  # 40 / 8 pixels would be too few
    assert _plan(speed=FAST, given={"crop_size": 90}).depth == 1  # 90 is not a multiple of 4


def test_a_given_depth_decides_the_crop():
    assert _plan(speed=FAST, given={"depth": 6}).crop_size == 512
    assert _plan(speed=FAST, given={"depth": 5}).crop_size == 256


def test_few_minutes_give_a_narrow_network():
    widths = [_plan(minutes=minutes).base_filters for minutes in (1, 10, 60, 300, 10_000)]
    assert widths == sorted(widths)
    assert (widths[0], widths[-1]) == (8, 64)
    assert len(set(widths)) > 2


def test_the_width_is_the_widest_with_a_thousand_steps():
    plan = _plan()
    assert plan.steps >= 1000
    assert plan.minutes <= 0.8 * 60
    wider = {64: None, 48: 64, 32: 48, 24: 32, 16: 24, 8: 16}[plan.base_filters]
    assert _plan(given={"base_filters": wider}).steps < 1000


def test_given_epochs_and_crops_give_the_widest_network_that_ends_in_time():
    given = {"epochs": 10, "crops_per_image": 2}
    plan = _plan(minutes=10, given=given)
    assert plan.steps == 100
    assert plan.minutes <= 8
    wider = {48: 64, 32: 48, 24: 32, 16: 24, 8: 16}[plan.base_filters]
    assert _plan(minutes=10, given={**given, "base_filters": wider}).minutes > 8
    assert "with which the given steps fit" in plan.reasons["base_filters"]


def test_where_even_the_narrowest_is_too_slow_the_plan_says_so():
    plan = _plan(minutes=0.5)
    assert plan.base_filters == 8
    assert plan.reasons["base_filters"].startswith("the narrowest")


def test_an_epoch_has_at_least_25_steps_and_there_are_25_to_100():
    for training in (1, 3, 20, 80):
        plan = _plan(training=training)
        assert 25 <= plan.epochs <= 100
        assert plan.steps / plan.epochs >= 25
        assert (plan.steps_per_epoch, plan.validation_images) == (None, None)


def test_more_validation_images_make_epochs_fewer():
    few, more = (_plan(validation=n, given={"base_filters": 8}) for n in (40, 80))
    assert 25 <= more.epochs < few.epochs
    assert more.validation_images is None


def test_with_too_many_validation_images_a_part_is_scored():
    plan = _plan(validation=400, given={"base_filters": 8})
    assert plan.epochs >= 25
    assert 1 < plan.validation_images < 400
    assert "of 400, the same ones in each epoch" in plan.reasons["validation_images"]
    assert _plan(validation=400, given={"validation_images": 3}).validation_images == 3


@pytest.mark.parametrize("images", [20, 1000, 30_000])
@pytest.mark.parametrize("minutes", [10, 20, 60])
@pytest.mark.parametrize("given", [{}, {"crops_per_image": 3}])
def test_a_budget_always_validates_at_least_20_times(images, minutes, given):
    sets = {"training": images, "validation": images // 5}
    plan = _plan(minutes=minutes, given=given, **sets)
    assert plan.epochs >= 25
    assert plan.minutes <= 0.8 * minutes
    steps = plan.steps / plan.epochs
    crops = -(-images * plan.crops_per_image // plan.batch_size)
    assert steps == (plan.steps_per_epoch or crops)
    assert steps <= crops
    assert ("steps_per_epoch" in plan.reasons) == (plan.steps_per_epoch is not None)


def test_given_steps_of_an_epoch_are_kept():
    plan = _plan(training=1000, given={"steps_per_epoch": 7})
    assert plan.steps_per_epoch == 7 == plan.steps // plan.epochs
    assert "steps_per_epoch" not in plan.reasons


def test_given_epochs_take_all_images():
    plan = _plan(training=30_000, validation=3000, given={"epochs": 5, "crops_per_image": 1})
    assert (plan.steps_per_epoch, plan.validation_images) == (None, None)


def test_tiny_memory_lowers_the_batch_before_the_crop_and_the_crop_before_the_width():
    given = {"depth": 4, "tile": 256}
    plans = [
        _plan(memory_gb=memory / 1000, speed=FAST, given=given) for memory in range(4500, 1000, -50)
    ]
    sizes = [(plan.base_filters, plan.crop_size, plan.batch_size) for plan in plans]
    assert sizes[0] == (64, 256, 4)
    assert sizes[-1][0] < 32
    assert any(width == 64 and crop < 256 for width, crop, _ in sizes)
    # In the order of the dictionary: a smaller crop may bring a larger batch back, and so on.
    assert sizes == sorted(sizes, reverse=True)


def test_the_batch_is_lowered_first():
    ample = _plan(speed=FAST, given={"tile": 256})
    plan = _plan(memory_gb=ample.memory_gb - 0.01, speed=FAST, given={"tile": 256})
    assert (plan.base_filters, plan.crop_size, plan.batch_size) == (64, 256, 2)
    assert plan.reasons["batch_size"].startswith("lowered from 4")


def test_what_does_not_fit_is_refused_with_what_would_mend_it():
    given = {"crop_size": 512, "batch_size": 16}
    with pytest.raises(InputError) as caught:
        _plan(memory_gb=1.2, given=given)
    assert caught.value.where == "budget.memory_gb"
    assert "1.2 GB do not suffice" in caught.value.problem
    assert "training.crop_size or training.batch_size" in caught.value.fix
    granted = float(caught.value.fix.split()[1].rstrip(","))
    assert _plan(memory_gb=granted, given=given).memory_gb <= granted


def test_less_than_the_process_itself_needs_is_refused():
    with pytest.raises(InputError, match=r"needs \d\.\d\d GB\. Grant \d\.\d\."):
        _plan(memory_gb=0.5)


@pytest.mark.parametrize("given", [{"crop_size": 101}, {"crop_size": 100, "depth": 4}])
def test_a_given_crop_that_fits_no_network_is_refused(given):
    with pytest.raises(InputError, match=r"training\.crop_size"):
        _plan(given=given)


@settings(max_examples=20)  # each plans for about a quarter of a second
@for_all(
    height=st.integers(1, 3000),
    width=st.integers(1, 3000),
    training=st.integers(1, 2000),
    validation=st.integers(0, 500),
    classes=st.integers(2, 6),
    memory_gb=st.floats(0.5, 20),
    minutes=st.floats(0.1, 1000),
    given=st.fixed_dictionaries(
        {"padding": st.sampled_from(["same", "valid"])},
        optional={
            "depth": st.integers(1, 5),
            "base_filters": st.integers(1, 100),
            "batch_size": st.integers(1, 16),
            "epochs": st.integers(1, 50),
            "crops_per_image": st.integers(1, 9),
        },
    ),
)
def test_a_plan_never_exceeds_the_memory_and_its_crop_fits(memory_gb, minutes, given, **data):
    try:
        plan = _plan(memory_gb, minutes, given=given, **data)
    except InputError as error:
        assert error.where == "budget.memory_gb"  # noqa: PT017 - it need not be raised
        return
    assert plan.memory_gb <= memory_gb
    assert unet_geometry(plan.depth, given["padding"]).fits(plan.crop_size)
    assert all(getattr(plan, name) == given[name] for name in NAMES if name in given)
    whole = -(-data["training"] * plan.crops_per_image // plan.batch_size)
    assert plan.steps == plan.epochs * (plan.steps_per_epoch or whole)
    assert plan.steps_per_epoch is None or plan.steps_per_epoch < whole
