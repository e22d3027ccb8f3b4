"""What torchrun starts anew goes on by itself from the last checkpoint."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.parallel.mishaps import at_rank
from tests.parallel.ranks import ENVIRONMENT, ROOT, new_store
from tests.parallel.yard import Yard

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SEED = 20261121
"""From which all ranks and instants of kills are drawn."""

LONG = """
    [model]
    dropout = 0.2

    [train]
    step_freq = 3
    max_steps = 60
    ema = 0.8
    eval_freq = 5

    [checkpoint]
    every = 4
    """


def restarted(count: int) -> dict[str, int]:
    return {"TORCHELASTIC_RESTART_COUNT": count}


@pytest.mark.parametrize("named", [True, False])
def test_train_goes_on_with_the_run_that_its_launch_began(yard: Yard, named) -> None:
    runs, store = yard.whole("bits", 2).parent, new_store()
    before = {path.name for path in runs.iterdir()}
    words = ("train", "--toml", "bits.toml")
    words += ("--name", yard.new("restarted")) if named else ()
    for count, rank in enumerate((1, 0)):
        ended = yard.tries(
            2,
            *words,
            before=at_rank(rank, f"kill_at({5 + 4 * count})"),
            environment=restarted(count),
            store=store,
        )
        assert ended.codes[rank] == -signal.SIGKILL, ended.errors
    ended = yard.done(2, *words, environment=restarted(2), store=store)
    assert "from step-000000008 on 2 x cpu" in ended.told[0]
    (name,) = {path.name for path in runs.iterdir()} - before
    yard.compare(yard.whole("bits", 2), name)


def test_repeated_runs_go_on_where_they_were(yard: Yard) -> None:
    stem, store = yard.new("thrice"), new_store()
    words = yard.train("bits", stem, "--repeat", "2")
    kill = "import os\nfrom tests.parallel import mishaps\nmishaps.kill_later(20)\n"
    ended = yard.tries(2, *words, before=kill, store=store)
    assert ended.codes == [-signal.SIGKILL] * 2, ended.errors
    assert yard.outcome(f"{stem}-1")["reason"] == "max_steps"
    yard.done(2, *words, environment=restarted(1), store=store)
    yard.compare(yard.whole("bits", 2), f"{stem}-1")
    assert yard.outcome(f"{stem}-2")["reason"] == "max_steps"


def test_a_run_of_another_launch_is_left_alone(yard: Yard) -> None:
    name = yard.new("of-others")
    before = at_rank(1, "kill_at(5)")
    yard.tries(2, *yard.train("bits", name), before=before)
    newest = yard.newest(name)
    again = yard.tries(2, *yard.train("bits", name), environment=restarted(1))
    assert again.codes[0] == 2
    assert "has checkpoints already" in again.told[0]
    assert yard.newest(name) == newest


def test_a_run_moved_aside_is_moved_once(yard: Yard) -> None:
    name, store = yard.new("anew"), new_store()
    yard.done(2, *yard.train("bits", name))
    words = yard.train("bits", name, "--overwrite")
    yard.tries(2, *words, before=at_rank(0, "kill_at(6)"), store=store)
    yard.done(2, *words, environment=restarted(1), store=store)
    yard.compare(yard.whole("bits", 2), name)
    yard.compare(yard.whole("bits", 2), f"{name}.old-1")
    assert not yard.run(f"{name}.old-2").exists()


class Torchrun:
    """torchrun, and the processes it has started."""

    def __init__(self, yard: Yard, *words: str, more: tuple[str, ...] = ()) -> None:
        self.said = yard.folder / f"{yard.new('torchrun')}.txt"
        launcher = (sys.executable, "-m", "torch.distributed.run")
        with self.said.open("w") as stream:
            self.process = subprocess.Popen(
                [*launcher, *more, "-m", "slangmod", *words],
                cwd=yard.folder,
                env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    def workers(self) -> list[int]:
        """The processes that it has started and that are at work."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                state, parent = path.read_text().rpartition(")")[2].split()[:2]
                if int(parent) == self.process.pid and state != "Z":
                    found.append(int(path.parent.name))
        return sorted(found)

    def wait(self) -> int:
        """Its exit code."""
        return self.process.wait(600)

    @property
    def errors(self) -> str:
        """What it and all of them said."""
        return self.said.read_text("utf-8")


def kill_at_random(torchrun: Torchrun, chance: random.Random, killed: set[int]) -> bool:
    """Kill a process at some instant after it has begun; False if all ended before."""
    while len(there := set(torchrun.workers()) - killed) < 2:
        if torchrun.process.poll() is not None:
            return False
        time.sleep(0.05)
    time.sleep(chance.choice((chance.uniform(0.0, 4.0), chance.uniform(4.0, 9.0))))
    victim = chance.choice(sorted(there))
    with suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
        killed |= there
        return True
    return False


def test_twenty_kills_of_any_rank_change_no_bit(yard: Yard) -> None:
    yard.add("long", LONG)
    whole = yard.whole("long", 2)
    chance, left = random.Random(SEED), 20
    while left:
        name = yard.new("elastic")
        kills, killed = min(left, 7), set[int]()
        more = ("--standalone", "--nproc-per-node", "2", "--max-restarts", str(kills))
        torchrun = Torchrun(yard, *yard.train("long", name), more=more)
        for _ in range(kills):
            if not kill_at_random(torchrun, chance, killed):
                break
            left -= 1
        assert torchrun.wait() == 0, torchrun.errors
        yard.compare(whole, name)


def test_a_killed_rank_ends_all_and_torchrun_with_1(yard: Yard) -> None:
    yard.add("long", LONG)
    name = yard.new("elastic")
    more = ("--standalone", "--nproc-per-node", "2")
    torchrun = Torchrun(yard, *yard.train("long", name), more=more)
    checkpoints = yard.run(name) / "checkpoints"
    while not list(checkpoints.glob("step-00000001*")):
        time.sleep(0.05)
    begun = time.monotonic()
    os.kill(torchrun.workers()[1], signal.SIGKILL)
    assert torchrun.wait() == 1
    assert time.monotonic() - begun < 60
    assert not torchrun.workers()
    assert yard.outcome(name)["reason"] in ("failed", "stopped")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_torchrun_ends_with_1_after_all_have_saved(yard: Yard, number) -> None:
    yard.add("long", LONG)
    name = yard.new("launched")
    words = yard.train("long", name, "--train.max_steps", "100000")
    more = ("--standalone", "--nproc-per-node", "2")
    torchrun = Torchrun(yard, *words, "--train.max_epochs", "100000", more=more)
    checkpoints = yard.run(name) / "checkpoints"
    while not list(checkpoints.glob("step-00000001*")):
        time.sleep(0.05)
    torchrun.process.send_signal(number)
    assert torchrun.wait() == 1
    said = f"stopped by {number.name} with a checkpoint at"
    assert torchrun.errors.count(said) == 1, torchrun.errors
    assert yard.outcome(name)["reason"] == "stopped"


def two_machines(yard: Yard, config: str, name: str, *more: str) -> list[Torchrun]:
    """Two launchers on addresses of their own, with a process each."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    meeting = ("--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}")
    more += ("--nnodes", "2", "--nproc-per-node", "1", *meeting, "--rdzv-id", name)
    return [
        Torchrun(yard, *yard.train(config, name), more=(*more, "--local-addr", host))
        for host in ("127.0.0.1", "127.0.0.2")
    ]


@pytest.mark.parametrize("number", [0, 1])
def test_two_machines_go_on_where_one_of_them_had_a_process_killed(
    yard: Yard, number
) -> None:
    yard.add("hasty", LONG + '\n    [parallel]\n    timeout = "30s"\n')
    whole, name = yard.whole("hasty", 2), yard.new("machines")
    machines = two_machines(yard, "hasty", name, "--max-restarts", "3")
    checkpoints = yard.run(name) / "checkpoints"
    while not list(checkpoints.glob("step-00000001*")):
        assert machines[0].process.poll() is None, machines[0].errors
        time.sleep(0.05)
    os.kill(machines[number].workers()[0], signal.SIGKILL)
    assert [machine.wait() for machine in machines] == [0, 0], machines[0].errors
    assert any("from step-0000" in machine.errors for machine in machines)
    yard.compare(whole, name)


def test_two_machines_train_one_run(yard: Yard) -> None:
    name = yard.new("machines")
    machines = two_machines(yard, "bits", name)
    assert [machine.wait() for machine in machines] == [0, 0], machines[0].errors
    yard.compare(yard.whole("bits", 2), name)
    told = [machine.errors.count("validation of step") for machine in machines]
    assert sorted(told) == [0, 1]
