import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetflow.config.loss_terms import LOSS_NAMES, parse_formula
from unetflow.core.errors import InputError


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("dice", ((1.0, "dice"),)),
        ("bce + dice", ((1.0, "bce"), (1.0, "dice"))),
        ("0.5*focal + tversky", ((0.5, "focal"), (1.0, "tversky"))),
        ("  2 *lovasz+.25* cldice\n", ((2.0, "lovasz"), (0.25, "cldice"))),
        ("3.*cce", ((3.0, "cce"),)),
    ],
)
def test_sums_are_read(text, terms):
    assert parse_formula(text) == terms


@given(
    terms=st.lists(
        st.tuples(st.integers(1, 10**6), st.sampled_from(LOSS_NAMES)),
        min_size=1,
        unique_by=lambda term: term[1],
    ),
    spaces=st.text(" \t", max_size=3),
)
def test_what_is_written_is_what_is_read(terms, spaces):
    written = [f"{thousandths / 1000:.3f}{spaces}*{spaces}{name}" for thousandths, name in terms]
    read = parse_formula(f"{spaces}+{spaces}".join(written))
    assert [name for _, name in read] == [name for _, name in terms]
    assert [factor for factor, _ in read] == pytest.approx([n / 1000 for n, _ in terms])


@pytest.mark.parametrize(
    ("text", "problem", "fix"),
    [
        ("", "it names no loss", "such as `bce + dice`"),
        (" \t", "it names no loss", "such as `bce + dice`"),
        ("bce - dice", "'bce - dice' has a minus sign", "join them by `+`"),
        ("-1*bce", "has a minus sign", "only added"),
        ("1e-3*bce", "has a minus sign", "only added"),
        ("bce +", "a term is missing beside a `+`", "`0.5*dice`"),
        ("+ bce", "a term is missing beside a `+`", "`0.5*dice`"),
        ("bce ++ dice", "a term is missing beside a `+`", "`0.5*dice`"),
        ("bce dice", "'bce dice' is not a term", "`0.5*dice`"),
        ("bce*2", "'bce*2' is not a term", "`0.5*dice`"),
        ("2 bce", "'2 bce' is not a term", "`0.5*dice`"),
        ("2*3*bce", "'2*3*bce' is not a term", "`0.5*dice`"),
        ("(bce)", "'(bce)' is not a term", "`0.5*dice`"),
        ("1e3*bce", "'1e3*bce' is not a term", "`0.5*dice`"),
        ("2", "'2' is not a term", "`0.5*dice`"),
        ("bce + bce", "the loss 'bce' stands twice", "the sum of its factors"),
        ("0*bce", "the factor of 'bce' is not a positive, finite number", "leave the loss out"),
        (f"{'9' * 400}*bce", "is not a positive, finite number", "leave the loss out"),
        ("inf*bce", "'inf*bce' is not a term", "`0.5*dice`"),
        ("dise", "there is no loss 'dise'", "Did you mean 'dice'? Known: bce, cce, dice, focal"),
        ("bce + Dice", "there is no loss 'Dice'", "Did you mean 'dice'? Known: "),
        ("BCE", "there is no loss 'BCE'", "Did you mean 'bce'?"),
        ("__import__", "there is no loss '__import__'", "Known: bce, cce, dice"),
    ],
)
def test_other_texts_are_refused(text, problem, fix):
    with pytest.raises(InputError) as caught:
        parse_formula(text)
    assert caught.value.where == "training.loss"
    assert problem in caught.value.problem
    assert fix in caught.value.fix


def test_a_name_that_is_like_no_other_gets_the_list_alone():
    with pytest.raises(InputError) as caught:
        parse_formula("quux")
    assert caught.value.fix == f"Known: {', '.join(LOSS_NAMES)}"


@given(st.text("bcedi0.5*+- \n", max_size=12))
def test_any_text_is_read_or_refused(text):
    try:
        terms = parse_formula(text)
    except InputError:
        return
    assert all(factor > 0 and name in LOSS_NAMES for factor, name in terms)
