"""A compiled step reduces its gradients like any other."""

import shutil

import pytest

from slangmod.runs.summary import read_summary
from tests.parallel.mishaps import at_rank
from tests.parallel.yard import Yard, assert_alike, hook, rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

COMPILED = hook("compile", 0, rank=0) + hook("compile", 0, rank=1)
SHORT = ("--train.max_steps", "6")


def compiled(yard: Yard, name: str) -> bool:
    return read_summary(yard.run(name) / "summary.toml")["environment"]["compiled"]


def test_compiled_processes_learn_what_one_does_uncompiled(yard: Yard) -> None:
    one, two = yard.new("eager"), yard.new("compiled")
    assert yard.alone(*yard.train("adamw", one, *SHORT)) == 0
    words = yard.train("adamw", two, *SHORT, "--model.compile", "true")
    yard.done(2, *words, before=COMPILED)
    assert (compiled(yard, one), compiled(yard, two)) == (False, True)
    assert_alike(yard.run(one), yard.run(two), 1e-5)
    yard.done(2, "resume", "--name", two, "--train.max_steps", "8", before=COMPILED)
    assert rows(yard.run(two))[-1]["step"] == "8"


def test_all_train_uncompiled_where_one_cannot_compile(yard: Yard) -> None:
    name = yard.new("uncompiled")
    words = yard.train("adamw", name, *SHORT, "--model.compile", "true")
    yard.done(2, *words, before=COMPILED + at_rank(1, "cannot_compile()"))
    assert not compiled(yard, name)


def test_a_compiled_run_goes_on_uncompiled_where_it_is_spread(yard: Yard) -> None:
    """The trial of the compiler would leave a gradient in weights that are gathered."""
    begun = yard.new("compiled")
    words = yard.train("adamw", begun, *SHORT, "--model.compile", "true")
    yard.done(2, *words, before=COMPILED)
    assert compiled(yard, begun)
    names = [yard.new("goes-on") for _ in range(2)]
    for name, strategy in zip(names, ("ddp", "fsdp"), strict=True):
        shutil.copytree(yard.run(begun), yard.run(name))
        more = ("--train.max_steps", "9", "--parallel.strategy", strategy)
        allowed = ("--allow-change", "parallel.strategy")
        yard.done(2, "resume", "--name", name, *more, *allowed, before=COMPILED)
    assert_alike(*map(yard.run, names), 1e-5)
