from collections import Counter

import pytest
from optuna.trial import TrialState, create_trial

from slangmod.errors import SettingsError
from slangmod.search.dimensions import Choice, Interval
from slangmod.search.proposals import (
    PROPOSALS,
    Question,
    check_sampler,
    chosen,
    distributions,
)
from slangmod.search.space import combinations
from slangmod.settings.watching import Sweep

STEPS = {
    "train.batch_size": Choice((32, 64)),
    "train.power": Interval(0.5, 0.7, step=0.1),
}
NUMBERS = {
    "train.learning_rate": Interval(1e-4, 1e-1, log=True),
    "model.dropout": Interval(0.0, 0.5),
    "model.norm_cls": Choice(("layer", "rms")),
}


def trials(space, sampler, count, direction="minimize", startup=3):
    """What is proposed one after the other where larger dropout is worse."""
    history = ()
    for _ in range(count):
        question = Question(space, 7, startup, direction, history)
        parameters = PROPOSALS[sampler](question)
        if parameters is None:
            break
        trial = create_trial(
            state=TrialState.COMPLETE,
            value=float(parameters.get("model.dropout", 0.0)),
            params=parameters,
            distributions=distributions(space),
        )
        history = (*history, trial)
    return [dict(trial.params) for trial in history], history


def test_the_table_has_the_words_of_the_setting():
    words = Sweep.model_fields["sampler"].annotation.__args__
    assert set(PROPOSALS) == set(words)


@pytest.mark.parametrize("sampler", [one for one in PROPOSALS if one != "grid"])
def test_a_proposal_depends_on_what_was_tried_and_nothing_else(sampler):
    all_of_them, history = trials(NUMBERS, sampler, 8)
    for number in (0, 4, 7):
        question = Question(NUMBERS, 7, 3, "minimize", history[:number])
        assert PROPOSALS[sampler](question) == all_of_them[number]
    assert len({str(one) for one in all_of_them}) == 8


@pytest.mark.parametrize("sampler", [one for one in PROPOSALS if one != "grid"])
def test_every_proposal_lies_in_the_space(sampler):
    for parameters in trials(NUMBERS | STEPS, sampler, 8)[0]:
        assert 1e-4 <= parameters["train.learning_rate"] <= 1e-1
        assert 0 <= parameters["model.dropout"] <= 0.5
        assert parameters["model.norm_cls"] in ("layer", "rms")
        assert parameters["train.power"] in (0.5, 0.6, 0.7)


def test_a_grid_tries_every_combination_once_and_ends():
    found, _ = trials(STEPS, "grid", 10)
    assert combinations(STEPS) == len(found) == 6
    pairs = [(one["train.batch_size"], one["train.power"]) for one in found]
    assert pairs == [(b, p) for b in (32, 64) for p in (0.5, 0.6, 0.7)]


@pytest.mark.parametrize(
    ("direction", "better"), [("minimize", True), ("maximize", False)]
)
@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_what_was_good_is_tried_more_often(sampler, direction, better):
    found, _ = trials(NUMBERS, sampler, 40, direction)
    late = [one["model.dropout"] for one in found[25:]]
    assert (sum(late) / len(late) < 0.25) is better


def test_an_even_spread_leaves_no_part_out():
    found, _ = trials(NUMBERS, "qmc", 16)
    parts = Counter(int(one["model.dropout"] / 0.5 * 8) for one in found)
    assert set(parts.values()) == {2}
    assert Counter(one["model.norm_cls"] for one in found) == {"layer": 8, "rms": 8}


def test_lists_are_kept_as_text_and_become_lists_again():
    space = {"optimizer.betas": Choice(((0.9, 0.99), (0.8, 0.9)))}
    found, _ = trials(space, "random", 1)
    (kept,) = found[0].values()
    assert isinstance(kept, str)
    assert chosen(space, found[0])["optimizer.betas"] in ((0.9, 0.99), (0.8, 0.9))


@pytest.mark.parametrize(
    ("sampler", "space", "reason"),
    [
        ("grid", NUMBERS, "interval without steps"),
        ("grid", {"seed": Interval(0, 10**9, whole=True)}, "combinations"),
        ("cmaes", STEPS, "at least two numbers"),
    ],
)
def test_a_sampler_that_cannot_choose_is_refused(sampler, space, reason):
    with pytest.raises(SettingsError, match=reason):
        check_sampler(sampler, space)
    check_sampler("tpe", space)
