"""Runs made up for the tests that look at them."""

import pytest

from slangmod.runs.directory import RunDir
from slangmod.runs.recorders import EpochsCsv, StepsCsv
from slangmod.training.events import EpochDone, StepDone


@pytest.fixture
def make_run(tmp_path):
    """Makes a run whose test loss is least at two thirds of its steps."""

    def make(name, steps=60, evaluations=6, warmup=6, level=2.0):
        run = RunDir.of(tmp_path, name)
        run.root.mkdir(parents=True)
        run.config.write_text('[train]\nbatch_size = 64\nscaling = "inverse"\n')
        table, tests = StepsCsv(run.steps), EpochsCsv(run.epochs)
        for step in range(1, steps + 1):
            loss = level + 3 / step
            rate = 1e-3 * min(1, step / warmup)
            table(StepDone(step, 1, step, 640 * step, loss, rate, 0.5, 41000.0))
            if evaluations and step % (steps // evaluations) == 0:
                test = level + abs(step - steps * 2 // 3) / steps
                tests(
                    EpochDone(1, step, 640 * step, loss, test, rate, step, best=False)
                )
        table.close()
        tests.close()
        return run

    return make
