import pytest

from slangmod.parallel.strategy import (
    DDP,
    FSDP,
    STRATEGIES,
    Needs,
    choose,
    held_by,
    moved_by,
    step_seconds,
)

MB = 10**6
NEEDS = Needs(
    weights=400 * MB,
    gradients=400 * MB,
    optimizer=800 * MB,
    activations=100 * MB,
    block=40 * MB,
    outside=80 * MB,
    process=7 * MB,
)


def test_with_ddp_each_device_holds_all():
    for devices in (1, 2, 8):
        held = held_by(DDP, NEEDS, devices)
        assert held.total == (400 + 400 + 800 + 100 + 7) * MB
        assert held.gathered == 0


@pytest.mark.parametrize("devices", [2, 8, 64])
def test_with_fsdp_each_holds_its_share_and_what_it_computes_with(devices):
    held = held_by(FSDP, NEEDS, devices)
    assert held.divided == 1600 * MB // devices
    assert held.gathered == ((80 + 2 * 40) + (80 + 40)) * MB
    assert held.total == held.divided + held.gathered + 107 * MB


def test_gradients_of_several_mini_batches_stay_whole_with_fsdp():
    held = held_by(FSDP, NEEDS, 8, step_freq=4)
    assert held.gathered == (80 + 2 * 40 + 400) * MB


def test_one_device_holds_all_whatever_the_strategy():
    assert held_by(FSDP, NEEDS, 1) == held_by(DDP, NEEDS, 1)


def test_bytes_moved_are_those_of_a_ring():
    weights, outside = 4_000_000, 800_000
    for devices in (2, 4, 8):
        share = (devices - 1) / devices
        assert moved_by(DDP, weights, outside, devices) == 2 * share * weights
        assert moved_by(DDP, weights, outside, devices, 4) == 2 * share * weights
        each = 2 * (weights - outside) + outside
        assert moved_by(FSDP, weights, outside, devices) == share * (each + weights)
        sent = share * (4 * each + weights)
        assert moved_by(FSDP, weights, outside, devices, 4) == sent
    assert moved_by(DDP, weights, 0, 1) == moved_by(FSDP, weights, 0, 1) == 0


def test_bytes_moved_with_fsdp_are_those_that_were_counted():
    # Of all collectives of two processes over gloo, weights of 1 315 328 bytes.
    assert moved_by(FSDP, 1_315_328, 524_800, 2) == 1_710_592
    assert moved_by(FSDP, 1_315_328, 524_800, 2, 3) == 3_816_448


def test_what_moves_behind_computing_takes_no_time():
    assert step_seconds(DDP, 0.3, 0.2) == pytest.approx(0.3)
    assert step_seconds(DDP, 0.3, 0.5) == pytest.approx(0.3 + 0.5 - 0.2)
    assert step_seconds(DDP, 0.3, 0.2, step_freq=2) == pytest.approx(0.3 + 0.1)
    assert step_seconds(FSDP, 0.3, 0.3, step_freq=2) == pytest.approx(0.3)
    assert step_seconds(FSDP, 0.3, 0.4) == pytest.approx(0.4)


def test_ddp_is_taken_where_it_fits_and_fsdp_where_not():
    assert choose(NEEDS, 8, 1707 * MB).strategy == DDP
    too_small = choose(NEEDS, 8, 1707 * MB - 1)
    assert too_small.strategy == FSDP
    assert "1 707 MB" in too_small.why
    assert "587 MB" in too_small.why  # 200 + 280 + 100 + 7
    assert choose(NEEDS, 8, 586 * MB).why.endswith("which is still too much")
    assert choose(NEEDS, 8, None).strategy == DDP


def test_the_reason_begins_with_the_choice():
    for available in (None, 10**12, 10**9, 1):
        choice = choose(NEEDS, 4, available)
        assert choice.strategy in STRATEGIES
        assert choice.why.startswith(f"{choice.strategy}: ")
