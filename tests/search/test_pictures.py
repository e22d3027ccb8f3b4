import pytest

from slangmod.search.pictures import pictures_of
from slangmod.search.study import COMPLETE, FAILED, Record

SPACE = {"model.dropout": "interval(0.0, 0.5)", "model.norm_cls": "choice(layer, rms)"}


def trial(number, state=COMPLETE):
    parameters = {"model.dropout": number / 10, "model.norm_cls": "rms"}
    return Record(number, state, parameters, 1.0 if state == COMPLETE else None)


def drawn(records):
    pictures = pictures_of(records, SPACE, "minimize", "test_loss")
    return {name: draw(".svg") for name, draw in pictures.items()}


def test_without_complete_trials_there_is_nothing_to_draw():
    assert drawn([trial(0, FAILED)]) == dict.fromkeys(
        ("history", "importance", "slices")
    )


def test_of_one_trial_or_of_equal_ones_something_is_drawn():
    for records in ([trial(0)], [trial(0, FAILED), trial(1), trial(2), trial(3)]):
        pictures = drawn(records)
        for name in ("history", "slices"):
            assert pictures[name].startswith(b"<?xml")


def test_names_and_texts_are_drawn_as_they_are_and_never_obeyed():
    long, odd = "x" * 4000, "\x1b[2J\u202e"
    space = {"extra.$\\frac$": f"choice('$$', {long}, {long}y, '{odd}')"}
    records = [
        Record(number, COMPLETE, {"extra.$\\frac$": text}, float(number))
        for number, text in enumerate(("$$", long, f"{long}y", odd))
    ]
    pictures = pictures_of(records, space, "minimize", "$x_$")
    for name in ("history", "slices"):
        content = pictures[name](".svg")
        assert content.startswith(b"<?xml")
        assert len(content) < 10**6
        assert odd.encode() not in content


def test_a_trial_that_is_not_of_the_space_is_named():
    space = {**SPACE, "model.norm_cls": "choice(layer)"}
    with pytest.raises(ValueError, match="trial 4: 'rms' not in"):
        pictures_of([trial(4)], space, "minimize", "a")
