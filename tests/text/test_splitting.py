import pytest
from hypothesis import given
from hypothesis import strategies as st

from slangmod.errors import DataError
from slangmod.text.documents import SPLITS, split_of_text
from slangmod.text.splitting import Plan, plan_around

LINES = [f"This is line {i}.\n" for i in range(1000)]
BOOK = "".join(LINES)


def dealt(documents, plan=None):
    plan = plan or plan_around(lambda: documents)
    parts = {split: [] for split in SPLITS}
    for split, text in plan.deal(documents):
        parts[split].append(text)
    return parts, plan


def test_names_go_before_hashes() -> None:
    documents = [("test", "a"), (None, "b"), ("train", "c"), (None, "d")]
    splits = [split for split, _ in Plan().deal(documents)]
    assert splits == ["test", split_of_text("b"), "train", split_of_text("d")]


def test_the_end_of_one_text_becomes_validation_and_test() -> None:
    parts, plan = dealt([(None, BOOK)])
    assert parts["validation"] == ["".join(LINES[-10:])]
    assert parts["test"] == ["".join(LINES[-20:-10])]
    assert parts["train"] == ["".join(LINES[:-20])]
    assert plan.in_words() == (
        "the last 1 % of the text became validation, the 1 % before it test, cut at "
        "borders of lines"
    )


def test_many_documents_give_their_last_ones() -> None:
    documents = [(None, line) for line in LINES]
    parts, _ = dealt(documents)
    assert parts["validation"] == LINES[-10:]
    assert parts["test"] == LINES[-20:-10]
    assert parts["train"] == LINES[:-20]


@pytest.mark.parametrize(
    ("named", "missing"), [("test", "validation"), ("validation", "test")]
)
def test_a_missing_split_takes_the_end_of_train_alone(named, missing) -> None:
    parts, plan = dealt([("train", BOOK), (named, "held out")])
    assert parts[named] == ["held out"]
    assert parts[missing] == ["".join(LINES[-10:])]
    assert parts["train"] == ["".join(LINES[:-10])]
    assert missing in plan.in_words()
    assert named not in plan.in_words()


def test_names_count_for_nothing_if_nothing_would_be_learnt_from() -> None:
    parts, plan = dealt([("test", BOOK)])
    assert parts["train"] == ["".join(LINES[:-20])]
    assert "ignored" in plan.in_words()


def test_train_gets_what_has_no_name_if_hashes_leave_it_empty() -> None:
    documents = [("test", "a"), ("validation", "b"), (None, "c")]
    parts, plan = dealt(documents)
    assert parts == {"train": ["c"], "test": ["a"], "validation": ["b"]}
    assert "train" in plan.in_words()


def test_documents_without_names_all_go_to_train_before_it_is_cut() -> None:
    held_out = next(f"{i}\n" for i in range(999) if split_of_text(f"{i}\n") == "test")
    parts, _ = dealt([(None, held_out), (None, BOOK)])
    assert parts["train"][0] == held_out
    assert len(parts["test"]) == len(parts["validation"]) == 1


@pytest.mark.parametrize(
    ("text", "borders"),
    [
        ("one\ntwo\nthree\nfour\nfive\n", "lines"),
        ("word " * 5000, "spaces"),
        ("a heading\n" + "word " * 5000, "spaces"),
        ("中" * 5000, "characters"),
        ("abcd", "characters"),
    ],
)
def test_the_finest_border_that_is_needed_is_used(text, borders) -> None:
    parts, plan = dealt([(None, text)])
    assert plan.borders == borders
    assert all("".join(parts[split]) for split in SPLITS)
    assert "".join(parts["train"] + parts["test"] + parts["validation"]) == text


@pytest.mark.parametrize("documents", [[(None, "ab")], [(None, "")], []])
def test_too_little_text_is_refused(documents) -> None:
    with pytest.raises(DataError, match="too few"):
        plan_around(lambda: documents)


NAMED = st.sampled_from([None, *SPLITS])


@given(st.lists(st.tuples(NAMED, st.text("ab \n", max_size=30)), max_size=12))
def test_no_text_is_lost_and_no_split_empty(documents) -> None:
    total = sum(len(text) for _, text in documents)
    try:
        parts, plan = dealt(documents)
    except DataError:
        # Train alone gives, so what others hold does not help.
        learnt = sum(len(text) for named, text in documents if named in (None, "train"))
        assert (learnt or total) < 4
        return
    assert sum(len(text) for texts in parts.values() for text in texts) == total
    assert all("".join(parts[split]) for split in SPLITS)
    assert 2 * len("".join(parts["train"])) >= len("".join(
        text for named, text in documents if plan.split_of(named, text) == "train"
    ))  # fmt: skip


def test_the_plan_is_the_same_each_time() -> None:
    documents = [(None, line) for line in LINES[:30]]
    assert plan_around(lambda: documents) == plan_around(lambda: documents)
