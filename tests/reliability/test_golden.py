"""What is computed is computed again: in another process, and by the next version."""

import pytest

from tests.reliability.golden.make import GOLDEN, STEPS, losses, read
from tests.reliability.workshop import Workshop, train

EXACT = 1e-6
"""Relative, of float32: other CPUs and versions of torch add in another order, which
changes these losses by up to 2e-7."""

ROUNDED = {"muon": 1e-4, "bfloat16": 1e-3}
"""Where bfloat16 is part of it (muon makes its steps orthogonal in that), 50 steps make
2e-6 and 3e-5 of the same."""


@pytest.mark.parametrize("name", GOLDEN)
def test_the_losses_of_fifty_steps_are_those_on_file(
    workshop: Workshop, name: str, promise
) -> None:
    found, known = losses(workshop, name), read()[name]
    assert len(found["training"]) == len(known["training"]) >= STEPS
    for kind, losses_then in known.items():
        assert found[kind] == pytest.approx(
            losses_then, rel=ROUNDED.get(name, EXACT)
        ), f"numerics have changed ({kind}); if that is meant, run golden/make.py"
    promise("R20", 1)


DETERMINISTIC = """
    deterministic = true
    {more}

    [train]
    optimizer = "muon"
    step_freq = 3
    """
LARGE = """
    threads = 2

    [data]
    seq_len = 128

    [model]
    dim = 256
    n_heads = 4
    context = 128
    """


def test_equal_settings_give_equal_bits_in_another_process(
    workshop: Workshop, promise
) -> None:
    workshop.add("deterministic", DETERMINISTIC.format(more=""))
    name = workshop.new("again")
    workshop.done(*train("deterministic", name))
    workshop.compare("deterministic", name)
    promise("R20", 1)


@pytest.mark.slow
def test_equal_settings_give_equal_bits_where_threads_share_kernels(
    workshop: Workshop, promise
) -> None:
    workshop.add("two-threads", DETERMINISTIC.format(more=LARGE))
    for _ in range(3):
        name = workshop.new("again")
        workshop.done(*train("two-threads", name))
        workshop.compare("two-threads", name)
    promise("R20", 3)
