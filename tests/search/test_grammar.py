import pytest
from hypothesis import given
from hypothesis import strategies as st

from slangmod.search.dimensions import Choice, GrammarError, Interval
from slangmod.search.grammar import parsed, stand_in


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("choice(32, 64)", Choice((32, 64))),
        ("choice(adamw, 'exp_range', \"5%\")", Choice(("adamw", "exp_range", "5%"))),
        ("choice(True, False)", Choice((True, False))),
        ("choice(true,false)", Choice((True, False))),
        ("choice(none, 2)", Choice(("none", 2))),
        ("choice(None, 2)", Choice(("none", 2))),
        ("choice(-1, +2.5)", Choice((-1, 2.5))),
        ("choice([0.9, 0.99], [0.8, 0.9])", Choice(((0.9, 0.99), (0.8, 0.9)))),
        (" interval(1e-4, 1e-2) ", Interval(1e-4, 1e-2)),
        ("interval(1e-4, 1e-2, log=true)", Interval(1e-4, 1e-2, log=True)),
        ("interval(1e-4, 1e-2, log=False)", Interval(1e-4, 1e-2)),
        ("tag(log, interval(1e-4, 1e-2))", Interval(1e-4, 1e-2, log=True)),
        ("interval(0, 1, step=0.3)", Interval(0, 0.9, step=0.3)),
        ("int(interval(1.0, 8))", Interval(1, 8, whole=True)),
        ("int(interval(1, 8, step=3))", Interval(1, 7, step=3, whole=True)),
        ("int(tag(log, interval(1, 8)))", Interval(1, 8, log=True, whole=True)),
        ("tag(log, int(interval(1, 8)))", Interval(1, 8, log=True, whole=True)),
        ("range(1, 4)", Interval(1, 3, step=1, whole=True)),
        ("range(1, 10, 3)", Interval(1, 7, step=3, whole=True)),
        ("range(1, 10, step=4)", Interval(1, 9, step=4, whole=True)),
        ("range(0.1, 0.4, 0.1)", Interval(0.1, 0.3, step=0.1)),
    ],
)
def test_what_is_written_is_what_is_tried(text, dimension):
    assert parsed(text) == dimension


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("choice()", "needs values"),
        ("choice(1, 1.0)", "1.0 twice"),
        ("choice(1, True)", "true twice"),
        ("choice(5%, 10%)", "with quotes"),
        ("choice(top-p)", "quotes"),
        ("choice(a.b)", "quotes"),
        ("choice(1e999)", "finite"),
        ("choice(b'x')", "no text"),
        ("choice(2j)", "no text"),
        ("choice(-a)", "sign"),
        ("choice(a=1)", "no option 'a'"),
        ("choice(*x)", "quotes"),
        ("choice(f'{x}')", "quotes"),
        ("interval(1)", "two numbers"),
        ("interval(2, 1)", "above the highest"),
        ("interval(1, 2, base=3)", "no option 'base'"),
        ("interval(1, 2, **x)", "no option"),
        ("interval(a, 2)", "must be a number"),
        ("interval(true, 2)", "must be a number"),
        ("interval(0, 1, log=true)", "above 0"),
        ("interval(1, 2, log=1)", "true or false"),
        ("interval(1, 2, log=true, step=1)", "exclude each other"),
        ("interval(1, 2, step=0)", "above 0"),
        ("interval(0, 1, step=1e-9)", "are the most"),
        ("int(interval(1.5, 3))", "1.5: must be a whole number"),
        ("int(interval(1, 3, step=0.5))", "0.5: must be a whole number"),
        ("int(choice(1, 2))", "needs an interval"),
        ("int(interval(1, 2), 3)", "needs an interval"),
        ("tag(interval(1, 2))", "needs an interval"),
        ("tag(big, interval(1, 2))", '"big"'),
        ("tag(log)", "needs an interval"),
        ("range(3)", "low and high"),
        ("range(3, 3)", "is empty"),
        ("range(1, 3, 0)", "above 0"),
        ("open(1)", "no such thing"),
        ("x.choice(1)", "none of what can be tried"),
        ("32, 64", "none of what can be tried"),
        ("choice(", "cannot be read"),
        ("choice(" + "[" * 300 + "]" * 300 + ")", "cannot be read"),
        ("choice(" + "1+" * 4000 + "1)", "quotes|cannot be read"),
        ("choice(" + "1," * 9000 + ")", "longer than"),
    ],
)
def test_what_cannot_be_tried_is_refused_for_a_reason(text, reason):
    with pytest.raises(GrammarError, match=reason):
        parsed(text)
    assert stand_in(text) is None


def test_nothing_that_is_written_is_ever_run(tmp_path):
    trace = tmp_path / "trace"
    text = f"choice(__import__('pathlib').Path({str(trace)!r}).touch())"
    with pytest.raises(GrammarError):
        parsed(text)
    assert not trace.exists()


@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused(text):
    for whole in (text, f"choice({text})", f"interval({text})"):
        try:
            found = parsed(whole)
        except GrammarError:
            continue
        assert found.ends()


@given(
    low=st.integers(-1000, 1000),
    width=st.integers(1, 1000),
    step=st.integers(1, 50),
    scale=st.sampled_from([1, 10, 100]),
)
def test_a_range_has_the_values_of_pythons_range(low, width, step, scale):
    numbers = [n / scale for n in range(low, low + width, step)]
    ends = (low, low + width, step)
    text = ", ".join(repr(n / scale if scale > 1 else n) for n in ends)
    assert list(parsed(f"range({text})").grid() or ()) == numbers


@given(
    st.lists(
        st.one_of(st.booleans(), st.text("abc%- \"'\\", max_size=5)), min_size=1
    ).filter(lambda values: len(set(values)) == len(values))
)
def test_a_choice_of_quoted_texts_is_those_texts(values):
    inside = ", ".join(map(repr, values))
    assert parsed(f"choice({inside})") == Choice(tuple(values))
