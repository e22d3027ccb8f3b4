import pytest
import torch

from slangmod.commands.session import build_objective, new_state
from slangmod.training import memory
from slangmod.training.calibration import calibrate

CPU = torch.device("cpu")


def tried(settings, clock):
    states = []

    def make_state():
        states.append(new_state(settings, 13, CPU))
        return states[0], build_objective(settings, states[0], CPU)

    result = calibrate(settings, make_state, 13, CPU, clock, compiling=False)
    return result, states[0]


def test_the_median_of_warm_steps_counts_and_the_first_is_told_apart(tiny):
    # The first is when it all began; each step and look is then begun and ended.
    times = iter(
        [0, 0, 9, 9, 11, 11, 12, 12, 15, 15, 17, 17, 18, 18, 28, 28, 31, 31, 32]
    )
    result, _ = tried(tiny(), lambda: float(next(times)))
    assert result.first_step_seconds == 9
    assert result.step_seconds == 2
    assert result.steps == 5
    assert result.evaluation_seconds == 1
    assert not result.compiled
    assert result.compile_seconds == 0


def test_slow_steps_are_not_repeated_for_long(tiny):
    now = 0.0

    def clock():
        nonlocal now
        now += 15.0
        return now

    result, _ = tried(tiny(), clock)
    assert result.steps == 2


@pytest.mark.parametrize("step_freq", [1, 3])
def test_steps_are_real_and_all_of_the_optimizer_is_set_up(tiny, step_freq):
    settings = tiny(train={"step_freq": step_freq})
    before = new_state(settings, 13, CPU).model.state_dict()
    _, state = tried(settings, iter(range(1000)).__next__)
    after = state.model.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert len(state.optimizer.state) == len(list(state.model.parameters()))
    assert all(weight.grad is None for weight in state.model.parameters())


def test_memory_is_read_where_the_system_tells_it(tmp_path):
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmRSS:\t  12 kB\n")
    assert memory.entry(status, "VmRSS") == 12 * 1024
    assert memory.entry(status, "VmHWM") is None
    assert memory.entry(tmp_path / "none", "VmRSS") is None


def test_where_nobody_tells_what_is_resident_the_peak_counts(monkeypatch, tmp_path):
    assert memory.resident_bytes() > 1 << 20
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")
    assert memory.resident_bytes() == memory.peak_memory(CPU)
