import pytest

from slangmod.runs.directory import RunDir
from slangmod.runs.tracker import Ending, Row, Subject

pytest.importorskip("tensorboard")

from slangmod.runs.to_tensorboard import open_tensorboard

PARAMETERS = {"seed": 100, "train.learning_rate": 0.01, "train.optimizer": "adamw"}


def rows(*steps):
    return [Row(step, 100.5 + step, {"loss": 1 / step, "epoch": 1}) for step in steps]


@pytest.fixture
def subject(tmp_path):
    run = RunDir.of(tmp_path, "first")
    run.root.mkdir(parents=True)
    return Subject(run, PARAMETERS, None, "words", tmp_path)


def read_back(subject):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(subject.run.tensorboard))
    events.Reload()
    return events


def test_tensorboard_reads_numbers_settings_and_the_end(subject):
    file = open_tensorboard(subject)()
    file.send(rows(1, 2, 3))
    file.end(Ending("FINISHED", {"outcome.reason": "max_steps"}))
    file.close()
    events = read_back(subject)
    assert sorted(events.Tags()["scalars"]) == ["epoch", "loss"]
    loss = events.Scalars("loss")
    assert [one.step for one in loss] == [1, 2, 3]
    assert [one.wall_time for one in loss] == [101.5, 102.5, 103.5]
    assert [one.value for one in loss] == pytest.approx([1, 1 / 2, 1 / 3])
    text = events.Tensors("settings/text_summary")[0].tensor_proto.string_val[0]
    assert text.decode().splitlines() == [
        "    seed = 100",
        "    train.learning_rate = 0.01",
        '    train.optimizer = "adamw"',
    ]
    assert "ending/text_summary" in events.Tags()["tensors"]


def test_settings_are_on_the_page_of_hyper_parameters(subject):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    open_tensorboard(subject)().close()
    events = read_back(subject)
    about = events.SummaryMetadata("_hparams_/session_start_info")
    known = HParamsPluginData.FromString(about.plugin_data.content)
    names = known.session_start_info.hparams
    assert set(names) == set(PARAMETERS)
    assert names["train.learning_rate"].number_value == 0.01


def test_a_resumed_run_hides_what_it_is_going_to_tell_again(subject):
    file = open_tensorboard(subject)()
    file.send(rows(10, 20, 30))
    file.close()
    again = Subject(subject.run, PARAMETERS, None, "words", subject.workdir, step=20)
    file = open_tensorboard(again)()
    file.send(rows(25, 40))
    file.close()
    steps = [one.step for one in read_back(subject).Scalars("loss")]
    assert steps == [10, 20, 25, 40]


def test_after_a_failure_nothing_that_has_arrived_is_hidden(subject, monkeypatch):
    import os

    opener = open_tensorboard(subject)
    file = opener()
    file.send(rows(1, 2))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("slangmod.files.os.write", full)
        with pytest.raises(OSError, match="space"):
            file.send(rows(3))
        file.close()
        with pytest.raises(OSError, match="space"):
            opener()
    assert os.write is not full
    file = opener()
    file.send(rows(3, 4))
    file.close()
    steps = [one.step for one in read_back(subject).Scalars("loss")]
    assert steps == [1, 2, 3, 4]
