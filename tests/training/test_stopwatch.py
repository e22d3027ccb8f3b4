"""What time goes into: counted once, and on a GPU as the device tells."""

import json
from dataclasses import replace

import pytest

from slangmod.training.feed import Feed
from slangmod.training.stopwatch import DeviceMarks, Stopwatch
from slangmod.training.times import (
    CHECKPOINT,
    COMPUTE,
    DATA,
    EVALUATION,
    LOGGING,
    OPTIMIZER,
    REST,
    no_seconds,
    seconds_of,
)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_all_time_counts_once_and_for_what_was_under_way():
    clock = Clock()
    stopwatch = Stopwatch(clock)
    clock.now += 1
    assert stopwatch.turn_to(COMPUTE) == REST
    clock.now += 2
    with stopwatch.during(LOGGING):
        clock.now += 4
    clock.now += 8
    with pytest.raises(OSError), stopwatch.during(CHECKPOINT):
        clock.now += 16
        raise OSError
    known = {REST: 1.0, COMPUTE: 10.0, LOGGING: 4.0, CHECKPOINT: 16.0}
    assert stopwatch.take() == no_seconds() | known
    clock.now += 32
    assert stopwatch.take() == no_seconds() | {COMPUTE: 32.0}


class Device:
    """Passes marks when the test says so, at the milliseconds that it says."""

    def __init__(self):
        self.marks = []

    def mark(self):
        self.marks.append(Mark())
        return self.marks[-1]

    def passes(self, *times):
        waiting = [mark for mark in self.marks if mark.at is None]
        for mark, at in zip(waiting, times, strict=False):
            mark.at = at


class Mark:
    at = None

    def record(self):
        pass

    def query(self):
        return self.at is not None

    def elapsed_time(self, later):
        return later.at - self.at


def host(**seconds):
    return no_seconds() | seconds


def step(marks):
    for part in (COMPUTE, OPTIMIZER, REST):
        marks.set(part)


def test_a_busy_device_learns_all_the_time_whatever_the_host_waits_for():
    device = Device()
    marks = DeviceMarks(device.mark)
    step(marks)
    device.passes(0, 700, 1000)
    seconds = marks.corrected(host(data=0.9, forward_backward=0.1))
    assert seconds == pytest.approx(host(forward_backward=0.7, optimizer=0.3))


def test_while_the_device_is_idle_the_host_does_what_it_waits_for():
    device = Device()
    marks = DeviceMarks(device.mark)
    step(marks)
    device.passes(0, 200, 300)
    seconds = marks.corrected(host(data=0.6, rest=0.2, forward_backward=0.2))
    assert seconds == pytest.approx(
        host(forward_backward=0.2, optimizer=0.1, data=0.525, rest=0.175)
    )


def test_marks_that_the_device_has_not_passed_count_later():
    device = Device()
    marks = DeviceMarks(device.mark)
    step(marks)
    assert marks.corrected(host(forward_backward=0.5)) == host(rest=0.5)
    device.passes(0, 500)
    seconds = marks.corrected(host(rest=1.0))
    assert seconds == pytest.approx(host(forward_backward=0.5, rest=0.5))
    device.passes(900)
    seconds = marks.corrected(host(logging=1.0))
    assert seconds == pytest.approx(host(optimizer=0.4, logging=0.6))


def test_what_the_device_did_in_more_time_than_passed_is_owed():
    device = Device()
    marks = DeviceMarks(device.mark)
    step(marks)
    device.passes(0, 2000, 3000)
    first = marks.corrected(host(rest=1.0))
    second = marks.corrected(host(rest=3.0))
    assert sum(first.values()) == pytest.approx(1.0)
    assert first[REST] == 0.0
    assert first[COMPUTE] + second[COMPUTE] == pytest.approx(2.0)
    assert first[OPTIMIZER] + second[OPTIMIZER] == pytest.approx(1.0)
    assert second[REST] == pytest.approx(1.0)


def test_evaluations_and_checkpoints_are_as_the_host_saw_them():
    device = Device()
    marks = DeviceMarks(device.mark)
    step(marks)
    device.passes(0, 5000, 5000)
    seconds = marks.corrected(host(evaluation=2.0, checkpoint=3.0, data=1.0))
    assert (seconds[EVALUATION], seconds[CHECKPOINT]) == (2.0, 3.0)
    assert sum(seconds.values()) == pytest.approx(6.0)


def test_what_training_does_counts_for_what_it_is(bench, monkeypatch) -> None:
    clock = Clock()
    run = bench(train={"max_epochs": 1, "eval_freq": 4}, checkpoint={"every": 5})
    run.watch = clock

    def slow(work, seconds):
        def slowly(*arguments):
            clock.now += seconds
            return work(*arguments)

        return slowly

    tests = run.dataset(training=False).batches_in(1)
    run.objective = slow(run.objective, 3.0)
    run.save = slow(run.save, 7.0)
    run.state.optimizer.step = slow(run.state.optimizer.step, 5.0)
    monkeypatch.setattr(Feed, "batch", slow(Feed.batch, 1.0))
    trainer = replace(run.trainer(), tell=slow(run.told.append, 0.5))
    trainer.fit(run.state, run.dataset(training=True), run.dataset(training=False))
    times, counters = run.state.times, run.state.counters
    assert times[DATA] == counters.batch
    assert times[COMPUTE] == 3.0 * counters.batch
    assert times[OPTIMIZER] == 5.0 * counters.step
    assert times[EVALUATION] == tests * len(run.epochs)
    # What is done after the last look at the clock is not in the times of the run.
    assert times[CHECKPOINT] in (7.0 * len(run.saved), 7.0 * (len(run.saved) - 1))
    assert 0.5 * (len(run.told) - 3) <= times[LOGGING] <= 0.5 * len(run.told)
    assert times[REST] == 0.0


def test_times_are_part_of_the_state(bench) -> None:
    run = bench(train={"max_epochs": 1})
    run.watch = run.tick
    run.fit()
    other = bench(folder="other")
    other.state.take(json.loads(json.dumps(run.state.plain(), allow_nan=False)))
    assert other.state.times == run.state.times
    assert sum(run.state.times.values()) > 0


def test_a_checkpoint_of_before_times_were_kept_has_none(bench) -> None:
    run = bench()
    plain = run.state.plain()
    del plain["times"]
    run.state.times[DATA] = 3.0
    run.state.take(plain)
    assert run.state.times == no_seconds()


@pytest.mark.parametrize(
    "plain",
    [{"data": -1.0}, {"data": "1"}, {"data": float("nan")}, {"date": 1.0}],
)
def test_times_that_are_none_are_refused(plain) -> None:
    with pytest.raises(ValueError, match="is no time"):
        seconds_of(plain)
