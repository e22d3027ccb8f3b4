import logging
import threading
import time
from dataclasses import replace

import pytest

from slangmod.runs.delivery import Delivery, Pace
from slangmod.runs.tracker import FINISHED, KILLED, Ending, Row

QUICK = Pace(
    interval=0.001,
    first_pause=0.001,
    longest_pause=0.004,
    last_pause=0.001,
    patience=0.05,
    long_patience=30.0,
)
END = Ending(FINISHED, {"outcome.reason": "max_steps"})


def never(call):
    return False


def always(call):
    return True


class Fake:
    """A tracker that fails where ``fails`` says so, counting calls from 0."""

    def __init__(self, fails=never):
        self.fails = fails
        self.calls = self.opened = self.closed = 0
        self.steps, self.endings = [], []
        self.busy, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def __call__(self):
        self.opened += 1
        self._step()
        return self

    def send(self, rows):
        self._step()
        self.steps += [row.step for row in rows]

    def end(self, ending):
        self._step()
        self.endings.append(ending)

    def close(self):
        self.closed += 1

    def _step(self):
        self.calls += 1
        self.busy.set()
        self.go_on.wait(60)
        if self.fails(self.calls - 1):
            raise ConnectionError("refused by postgresql://me:secret@host")


def row(step):
    return Row(step, 0.0, {"loss": 1.0, "epoch": 1})


def until(true):
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def texts(caplog):
    return [record.getMessage() for record in caplog.records]


@pytest.fixture(autouse=True)
def everything_is_heard(caplog):
    caplog.set_level(logging.INFO, "slangmod")


def test_all_rows_arrive_in_order_and_then_the_end(caplog):
    fake = Fake()
    delivery = Delivery("fake", fake, QUICK)
    for step in range(500):
        delivery.put(row(step))
    delivery.end(END)
    delivery.wait()
    assert fake.steps == list(range(500))
    assert fake.endings == [END]
    assert (fake.opened, fake.closed) == (1, 1)
    assert not texts(caplog)


def test_a_run_that_never_began_is_not_told_of():
    fake = Fake()
    delivery = Delivery("fake", fake, QUICK)
    delivery.end(END)
    delivery.wait()
    assert fake.calls == 0


@pytest.mark.parametrize("failing", [range(7), range(1, 9), range(2, 6), (0, 2, 4, 6)])
def test_a_tracker_that_fails_for_a_while_gets_everything_once(failing, caplog):
    fake = Fake(lambda call: call in failing)
    delivery = Delivery("fake", fake, replace(QUICK, patience=60))
    delivery.put(row(1))
    until(lambda: fake.calls > 0)
    delivery.put(row(2))
    delivery.end(END)
    delivery.wait()
    assert fake.steps == [1, 2]
    assert fake.endings == [END]
    assert "not arrived" not in caplog.text


def test_an_outage_is_one_warning_and_one_line_when_it_is_over(caplog):
    fake = Fake(lambda call: call < 20)
    delivery = Delivery("fake", fake, QUICK)
    delivery.put(row(1))
    until(lambda: fake.steps)
    delivery.put(row(2))
    until(lambda: fake.steps == [1, 2])
    delivery.end(END)
    delivery.wait()
    warning, again = caplog.records
    assert warning.levelno == logging.WARNING
    assert "cannot be told of the run now" in warning.getMessage()
    assert "training goes on" in warning.getMessage()
    assert again.getMessage() == "fake: works again; 2 numbers arrived late"


def test_a_password_in_an_error_is_not_shown(caplog):
    delivery = Delivery("fake", Fake(always), QUICK)
    delivery.put(row(1))
    delivery.end(END)
    delivery.wait()
    assert "me:***@host" in caplog.text
    assert "secret" not in caplog.text


def test_nobody_waits_for_a_tracker_that_hangs(caplog):
    fake = Fake()
    fake.go_on.clear()
    delivery = Delivery("fake", fake, QUICK)
    for step in range(100):
        delivery.put(row(step))
    fake.busy.wait(60)
    delivery.end(Ending(KILLED, {}))
    delivery.wait()
    assert texts(caplog)[-1] == (
        "fake: 200 numbers have not arrived there, nor is how the run ended; "
        "all are in the run's own tables"
    )
    assert delivery._thread.daemon
    fake.go_on.set()
    delivery._thread.join(60)  # it does not go on once it has been given up
    assert (fake.steps, fake.endings) == ([], [])
    assert fake.closed == 1


def test_a_slow_tracker_that_works_is_waited_for(caplog):
    fake = Fake()
    fake.go_on.clear()
    delivery = Delivery("fake", fake, replace(QUICK, silence=0.0))
    delivery.put(row(1))
    delivery.end(END)
    threading.Timer(0.3, fake.go_on.set).start()
    delivery.wait()
    assert fake.endings == [END]
    assert texts(caplog) == ["fake: waiting until it has got everything"]


def test_pauses_grow_up_to_the_longest():
    pace = Pace(first_pause=2, longest_pause=15)
    delivery = Delivery("fake", Fake(), pace)
    pauses = []
    for _ in range(5):
        delivery._heed(ConnectionError())
        pauses.append(delivery._pause)
    assert pauses == [2, 4, 8, 15, 15]


def test_the_oldest_rows_give_way_where_there_is_no_room(caplog):
    fake = Fake()
    fake.go_on.clear()
    delivery = Delivery("fake", fake, replace(QUICK, room=10))
    delivery.put(row(0))
    fake.busy.wait(60)
    for step in range(1, 30):
        delivery.put(row(step))
    fake.go_on.set()
    delivery.end(END)
    delivery.wait()
    assert fake.steps == list(range(20, 30))
    assert "fake: 40 numbers have not arrived there;" in caplog.text


def test_rows_under_way_are_not_taken_from_below():
    fake = Fake()
    delivery = Delivery("fake", fake, replace(QUICK, room=2))
    delivery.put(row(0))
    until(lambda: fake.steps == [0])
    fake.busy.clear()
    fake.go_on.clear()
    delivery.put(row(1))
    fake.busy.wait(60)
    for step in range(2, 9):
        delivery.put(row(step))
    fake.go_on.set()
    delivery.end(END)
    delivery.wait()
    assert fake.steps == [0, 1, 7, 8]
