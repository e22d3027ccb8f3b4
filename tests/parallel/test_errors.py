"""What is wrong for all is said once, and what only one knows of by that one."""

import pytest

from tests.parallel.mishaps import at_rank
from tests.parallel.yard import Yard


@pytest.mark.slow
def test_a_wrong_setting_is_told_once(yard: Yard) -> None:
    ended = yard.tries(2, "train", "--toml", "adamw.toml", "--train.learning_rat", "3")
    assert ended.codes == [2, 2]
    assert ended.told[0].count("did you mean 'train.learning_rate'?") == 1
    assert ended.told[1] == ""


@pytest.mark.slow
def test_rows_that_processes_cannot_share_are_told_once(yard: Yard) -> None:
    name = yard.new("uneven")
    ended = yard.tries(3, *yard.train("adamw", name))
    assert ended.codes == [2, 2, 2]
    assert ended.told[1:] == ["", ""]
    assert ended.told[0] == (
        "slangmod: error: train.batch_size = 16: 3 processes cannot share it evenly; "
        "15 or 18 would fit, or another --nproc-per-node\n"
    )
    assert not yard.run(name).exists()


@pytest.mark.slow
def test_a_run_that_is_there_is_refused_once(yard: Yard) -> None:
    name = yard.whole("bits", 2).name
    ended = yard.tries(2, *yard.train("bits", name))
    assert ended.codes[0] == 2
    assert ended.codes[1] != 0
    assert ended.told[0].count("has checkpoints already") == 1
    assert ended.told[1] == ""


@pytest.mark.slow
def test_what_is_wrong_with_one_alone_is_told_by_that_one(yard: Yard) -> None:
    name = yard.new("odd-one")
    before = at_rank(1, "").replace("mishaps.", "").rstrip() + (
        "\n    os.environ['SLM_TRAIN__BATCH_SIZE'] = '-1'\n"
    )
    ended = yard.tries(
        2, *yard.train("adamw", name, "--parallel.timeout", "20s"), before=before
    )
    assert ended.codes == [1, 2], ended.errors
    assert "slangmod: error: rank 1: " in ended.told[1]
    assert "must be at least 1" in ended.told[1]
    assert not yard.run(name).exists()


@pytest.mark.slow
def test_a_chain_of_actions_is_done_once_and_trained_together(yard: Yard) -> None:
    name = yard.new("chained")
    ended = yard.done(2, "tokenize", "encode", *yard.train("bits", name), "evaluate")
    assert ended.told[1] == ""
    assert yard.outcome(name)["reason"] == "max_steps"


@pytest.mark.slow
def test_a_run_without_a_name_gets_one_that_all_agree_on(yard: Yard) -> None:
    runs = yard.whole("bits", 2).parent
    before = {path.name for path in runs.iterdir()}
    yard.done(2, "train", "--toml", "bits.toml")
    new = {path.name for path in runs.iterdir()} - before
    assert len(new) == 1
    yard.compare(yard.whole("bits", 2), *new)
    resumed = yard.done(2, "resume")
    assert resumed.told[0].count("the newest run is") == 1
    assert resumed.told[1] == ""
    yard.done(2, "train", "--toml", "bits.toml", "--name", *new, "--continue")
    yard.compare(yard.whole("bits", 2), *new)
