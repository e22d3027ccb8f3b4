"""Schedules, words and tables of stages, of legs that are put together by hand."""

import pytest

from slangmod.commands.staging import (
    Leg,
    batches_of,
    end_of,
    schedule_of,
    stage_line,
    stage_tables,
)
from slangmod.data.dataset import TokenDataset
from slangmod.data.rows import ConcatRows
from slangmod.data.stream import TokenStream
from slangmod.settings.sections import Stage
from slangmod.settings.stages import stages_of
from slangmod.training.stages import Length, StageEnd
from slangmod.training.state import Counters


@pytest.fixture
def legs(tiny, token_file):
    """Makes legs of 100, 40 and 60 mini-batches; 13 of them are an epoch."""
    tokens = TokenStream([token_file(size=400)], "<u2")
    data = TokenDataset(tokens, ConcatRows(400, 8, 8), 8, 4, 0, 100)

    def make(*stages: Stage, **change):
        settings = tiny(**change).model_copy(update={"stage": stages})
        lengths = (100, 40, 60)[: len(stages)]
        return settings, tuple(
            Leg(plan, data, Length(batches, batches, 3))
            for plan, batches in zip(stages_of(settings), lengths, strict=True)
        )

    return make


TRAIN = {"scaling": "linear", "warmup": "10%", "cooldown": "50%"}


def rate(t: int, warmup: int, cooldown: int) -> float:
    """The closed form of a warmup and a linear fall."""
    if t < warmup:
        return (t + 1) / warmup
    return 1 - min(t - warmup, cooldown) / cooldown


def test_a_restarted_schedule_is_as_long_as_its_stage(legs) -> None:
    _, plan = legs(Stage(epochs=3), Stage(epochs=3), Stage(steps=9), train=TRAIN)
    for leg, begin, length in zip(plan, (0, 100, 140), (100, 40, 60), strict=True):
        schedule = schedule_of(leg, plan, begin)
        for t in range(length):
            expected = rate(t, length // 10, length // 2)
            assert schedule(begin + t) == pytest.approx(expected, rel=1e-12)


def test_a_continued_schedule_is_one_over_the_whole_training(legs) -> None:
    going_on = Stage(epochs=3, schedule="continue")
    other = going_on.model_copy(update={"changes": (("train.batch_size", 2),)})
    _, plan = legs(going_on, other, going_on, train=TRAIN)
    assert batches_of(plan) == 200
    for leg, begin in zip(plan, (0, 100, 140), strict=True):
        schedule = schedule_of(leg, plan, begin)
        for t in range(200):
            assert schedule(t) == pytest.approx(rate(t, 20, 100), rel=1e-12)


def test_epochs_and_tokens_of_a_continued_schedule_are_those_of_the_first(legs) -> None:
    changes = (("train.warmup", "1 epoch"), ("train.batch_size", 2))
    going_on = Stage(epochs=3, schedule="continue", changes=changes)
    _, plan = legs(Stage(epochs=1), going_on, train=TRAIN)
    schedule = schedule_of(plan[1], plan, 100)
    assert schedule(0) == 1 / 13
    changes = (("train.warmup", "320 tokens"), ("train.batch_size", 2))
    going_on = Stage(epochs=3, schedule="continue", changes=changes)
    _, plan = legs(Stage(epochs=1), going_on, train=TRAIN)
    assert schedule_of(plan[1], plan, 100)(0) == 1 / 10


def test_stable_and_decay_are_of_the_stage(legs) -> None:
    train = {"scaling": "wsd", "warmup": 0, "decay": 0.25}
    _, plan = legs(Stage(epochs=3), Stage(epochs=3), train=train)
    schedule = schedule_of(plan[1], plan, 100)
    assert [schedule(t) for t in (100, 129, 130)] == [1.0, 1.0, 1.0]
    assert schedule(135) == 0.5
    assert schedule(140) == 0.0


def test_a_stage_ends_so_much_after_it_began(legs) -> None:
    _, plan = legs(Stage(epochs=3), Stage(steps=9))
    counters = Counters(stage_epoch=5, stage_step=70)
    ends = [end_of(leg.plan, counters, last=leg is plan[1]) for leg in plan]
    assert ends == [StageEnd(8, None, False), StageEnd(None, 79, True)]


def test_a_line_names_what_differs_from_before(legs) -> None:
    first = Stage(name="warm", epochs=1, changes=(("train.batch_size", 2),))
    second = Stage(
        steps=9,
        schedule="continue",
        reset_optimizer=True,
        changes=(("optimizer.betas", (0.5, 0.75)), ("model.dropout", 0.0)),
    )
    settings, plan = legs(first, second)
    lines = [stage_line(leg, plan, settings) for leg in plan]
    assert lines == [
        "stage 1 'warm' of 2: 1 epoch, batch_size 2",
        "stage 2 of 2: 9 steps, dropout 0.0, batch_size 4, betas [0.5, 0.75], "
        "fresh moments, its schedule goes on",
    ]


def test_tables_tell_where_stages_began_and_ended(legs) -> None:
    _, plan = legs(Stage(epochs=2), Stage(epochs=1), Stage(epochs=1))
    evaluations = [
        (1.0, 5.0, 1.0, 500.0, 3.0),
        (1.0, 10.0, 2.0, 1000.0, 4.0),
        (2.0, 15.0, 3.0, 1600.0, 2.0),
    ]
    tables = stage_tables(plan, Counters(17, 40, 4, 1700, stage=2), evaluations)
    assert [list(table.values()) for table in tables] == [
        [1, "1", 10, 2, 1000, 1, 10, 3.0],
        [2, "2", 7, 2, 700, 11, 17, 2.0],
    ]
    begun = stage_tables(plan, Counters(10, 20, 2, 1000, stage=2), evaluations[:2])
    assert [list(table.values()) for table in begun][1] == [
        2, "2", 0, 0, 0, None, None, None
    ]  # fmt: skip
