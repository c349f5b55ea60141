import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetflow.config.loss import LOSS_NAMES, read_loss
from unetflow.core.errors import InputError


@pytest.mark.parametrize(
    ("text", "loss"),
    [
        ("dice", {"dice": 1.0}),
        ("bce + dice", {"bce": 1.0, "dice": 1.0}),
        ("0.5*focal + tversky", {"focal": 0.5, "tversky": 1.0}),
        ("  2 *lovasz+.25* cldice\n", {"lovasz": 2.0, "cldice": 0.25}),
        ("3.*cce", {"cce": 3.0}),
    ],
)
def test_a_text_is_read_in_its_order(text, loss):
    assert list(read_loss(text).items()) == list(loss.items())
    assert read_loss(loss) == loss


@given(
    terms=st.dictionaries(st.sampled_from(LOSS_NAMES), st.integers(1, 10**6), min_size=1),
    spaces=st.text(" \t", max_size=3),
)
def test_what_is_written_is_what_is_read(terms, spaces):
    written = [f"{number / 1000:.3f}{spaces}*{spaces}{name}" for name, number in terms.items()]
    read = read_loss(f"{spaces}+{spaces}".join(written))
    assert list(read) == list(terms)
    assert list(read.values()) == pytest.approx([number / 1000 for number in terms.values()])


def test_a_factor_of_0_leaves_a_loss_out():
    assert read_loss({"bce": 0, "dice": 1, "cce": 2}) == {"dice": 1.0, "cce": 2.0}


@pytest.mark.parametrize(
    ("value", "problem", "fix"),
    [
        ("", "it names no loss", "{bce: 1, dice: 1}"),
        (" \t", "it names no loss", "{bce: 1, dice: 1}"),
        ({}, "it names no loss", "{bce: 1, dice: 1}"),
        ({"bce": 0}, "it names no loss", "{bce: 1, dice: 1}"),
        ("0*bce", "it names no loss", "{bce: 1, dice: 1}"),
        (["bce"], "['bce'] is not allowed", "{bce: 1, dice: 1}"),
        ("bce - dice", "'bce - dice' is not a term", "join them by `+`"),
        ("-1*bce", "'-1*bce' is not a term", "join them by `+`"),
        ("bce +", "'' is not a term of 'bce +'", "`0.5*dice`"),
        ("bce ++ dice", "'' is not a term", "`0.5*dice`"),
        ("bce*2", "'bce*2' is not a term", "`0.5*dice`"),
        ("2*3*bce", "'2*3*bce' is not a term", "`0.5*dice`"),
        ("(bce)", "'(bce)' is not a term", "`0.5*dice`"),
        ("1e3*bce", "'1e3*bce' is not a term", "`0.5*dice`"),
        ("2", "'2' is not a term", "`0.5*dice`"),
        ("inf*bce", "'inf*bce' is not a term", "`0.5*dice`"),
        ("bce + bce", "the loss 'bce' stands twice", "the sum of its factors"),
        (f"{'9' * 400}*bce", "the factor of 'bce' is not a positive", "leave the loss out"),
        ({"bce": -1}, "the factor of 'bce' is not a positive", "leave the loss out"),
        ({"bce": "1"}, "the factor of 'bce' is not a positive", "leave the loss out"),
        ({"bce": float("nan")}, "the factor of 'bce' is not a positive", "leave the loss out"),
        (
            "dise",
            "there is no loss 'dise'",
            "Did you mean 'dice'? Known: bce, cce, dice, present_dice, focal",
        ),
        ({"Dice": 1}, "there is no loss 'Dice'", "Did you mean 'dice'? Known: "),
        ("__import__", "there is no loss '__import__'", "Known: bce, cce, dice"),
    ],
)
def test_other_values_are_refused(value, problem, fix):
    with pytest.raises(InputError) as caught:
        read_loss(value)
    assert caught.value.where == "training.loss"
    assert problem in caught.value.problem
    assert fix in caught.value.fix


def test_a_name_that_is_like_no_other_gets_the_list_alone():
    with pytest.raises(InputError) as caught:
        read_loss("quux")
    assert caught.value.fix == f"Known: {', '.join(LOSS_NAMES)}"


@given(st.text("bcedi0.5*+- \n", max_size=12))
def test_any_text_is_read_or_refused(text):
    try:
        loss = read_loss(text)
    except InputError:
        return
    assert all(factor > 0 and name in LOSS_NAMES for name, factor in loss.items())
