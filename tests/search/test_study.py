import pytest

from slangmod.errors import DataError, UserError
from slangmod.search.dimensions import Choice, Interval
from slangmod.search.proposals import PROPOSALS
from slangmod.search.pruners import build_pruner
from slangmod.search.storage import open_storage
from slangmod.search.study import COMPLETE, FAILED, RUNNING, open_study

SPACE = {"model.dropout": Interval(0.0, 0.5), "train.batch_size": Choice((8, 16))}
ABOUT = {
    "space": {"model.dropout": "interval(0.0, 0.5)"},
    "direction": "minimize",
    "metric": "test_loss",
    "settings": {"model.dim": "16"},
}


def opened(folder, pruner="none", **about):
    made = build_pruner(pruner, 1, 5.0)
    return open_study(open_storage(None, folder), "s", SPACE, ABOUT | about, made)


def ask(study, sampler="tpe", home="here"):
    return study.ask(PROPOSALS[sampler], 1234, 2, home)


def test_a_trial_is_there_with_all_its_parameters_or_not_at_all(tmp_path):
    study = opened(tmp_path)
    journal = tmp_path / "study.journal"
    lines = journal.read_bytes().count(b"\n")
    record = ask(study)
    assert journal.read_bytes().count(b"\n") == lines + 1
    assert (record.number, record.state, record.home) == (0, RUNNING, "here")
    assert set(record.parameters) == set(SPACE)


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_a_study_that_is_opened_anew_proposes_the_same(tmp_path, sampler):
    found = []
    for folder, anew in (("one", False), ("other", True)):
        (tmp_path / folder).mkdir()
        study = opened(tmp_path / folder)
        for _ in range(6):
            study = opened(tmp_path / folder) if anew else study
            record = ask(study, sampler)
            study.tell(
                record.number, COMPLETE, value=record.parameters["model.dropout"]
            )
        found.append([record.parameters for record in study.records()])
    assert found[0] == found[1]


def test_how_a_trial_ended_is_kept(tmp_path):
    study = opened(tmp_path)
    for _ in range(2):
        ask(study)
    study.tell(0, COMPLETE, value=1.5, seconds=3.0)
    study.tell(1, FAILED, reason="no memory")
    good, bad = opened(tmp_path).records()
    assert (good.state, good.value, good.seconds) == (COMPLETE, 1.5, 3.0)
    assert (bad.state, bad.value, bad.reason) == (FAILED, None, "no memory")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"space": {"model.dropout": "interval(0.0, 0.9)"}}, "model.dropout: is now"),
        ({"space": {}}, "model.dropout: is now something else"),
        ({"direction": "maximize"}, "sweep.direction: is now maximize"),
        ({"metric": "cost.seconds"}, "sweep.metric: is now cost.seconds"),
        ({"settings": {"model.dim": "32"}}, "model.dim: is now 32"),
    ],
)
def test_what_has_to_stay_as_it_is_is_refused_by_name(tmp_path, change, expected):
    opened(tmp_path)
    with pytest.raises(UserError, match=expected) as told:
        opened(tmp_path, **change)
    assert len(told.value.problems) == 1


def test_a_study_of_somebody_else_is_left_alone(tmp_path):
    import optuna

    study = optuna.create_study(storage=open_storage(None, tmp_path), study_name="s")
    study.ask()
    with pytest.raises(DataError, match="was not made by slangmod"):
        opened(tmp_path)


@pytest.mark.parametrize(("direction"), ["minimize", "maximize"])
def test_a_worse_loss_ends_a_trial_whatever_the_metric(tmp_path, direction):
    study = opened(tmp_path, "median", direction=direction)
    for _ in range(2):
        ask(study)
    assert not study.report(0, {1: 2.0, 2: 1.0})
    study.tell(0, COMPLETE, value=1.0)
    assert not study.report(1, {1: 1.9})
    assert study.report(1, {1: 1.9, 2: 1.5})


def test_guessing_is_the_threshold(tmp_path):
    study = opened(tmp_path, "threshold")
    ask(study)
    assert not study.report(0, {1: 4.9})
    assert study.report(0, {1: 4.9, 2: 5.1})
