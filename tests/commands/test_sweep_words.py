from slangmod.commands.sweep_words import best_first, line_of, table
from slangmod.search.study import COMPLETE, FAILED, PRUNED, RUNNING, Record

RATE = "train.learning_rate"
RECORDS = (
    Record(0, FAILED, {RATE: 1.0}, reason="the loss is\x1b[31m not finite"),
    Record(1, COMPLETE, {RATE: 0.01}, 2.5, 61.0),
    Record(2, RUNNING, {RATE: 0.02}),
    Record(3, COMPLETE, {RATE: 0.03}, 1.25, 3.0),
    Record(4, PRUNED, {RATE: 0.04}, seconds=1.0),
)


def numbers(records):
    return [record.number for record in records]


def test_the_best_come_first_and_those_without_a_value_last():
    assert numbers(best_first(RECORDS, "minimize")) == [3, 1, 2, 4, 0]
    assert numbers(best_first(RECORDS, "maximize")) == [1, 3, 2, 4, 0]


def test_a_table_has_a_line_for_each_trial_and_reasons_below():
    lines = table(RECORDS, [RATE], "test_loss", 80).splitlines()
    assert [line.split() for line in lines] == [
        ["trial", "test_loss", "time", "learning_rate"],
        ["0", "failed", "-", "1"],
        ["the", "loss", "is\\u001b[31m", "not", "finite"],
        ["1", "2.5000", "1m01s", "0.01"],
        ["2", "running", "-", "0.02"],
        ["3", "1.2500", "3s", "0.03"],
        ["4", "pruned", "1s", "0.04"],
    ]


def test_where_columns_do_not_fit_parameters_stand_below():
    names = [f"model.a_long_name_of_a_setting_{number}" for number in range(5)]
    record = Record(0, COMPLETE, dict.fromkeys(names, 0.5), 1.0, 2.0)
    lines = table([record], names, "test_loss", 60).splitlines()
    assert lines[0].split() == ["trial", "test_loss", "time"]
    assert all(len(line) <= 60 for line in lines)
    assert "a_long_name_of_a_setting_4 0.5" in " ".join(lines)


def test_a_line_tells_of_one_trial():
    names = {RATE: "learning_rate"}
    assert line_of(RECORDS[1], "test_loss", names) == (
        "trial 1 | learning_rate 0.01 | test_loss 2.5000 | 1m01s"
    )
    assert line_of(RECORDS[4], "test_loss", names).endswith("| pruned | 1s")


HOSTILE = "a\x1b[2Jb\u202ec\u2066d\x9be\nf\x7f\u2028g"


def test_no_sign_that_a_terminal_obeys_is_printed():
    record = Record(0, COMPLETE, {HOSTILE: HOSTILE, RATE: 0.5}, 1.0, 2.0, HOSTILE)
    failed = Record(1, FAILED, {HOSTILE: 1}, reason=HOSTILE)
    for width in (20, 300):
        text = table([record, failed], [HOSTILE, RATE], HOSTILE, width)
        assert all(line.isprintable() for line in text.splitlines())
        assert "u001b" in text
    for told in (record, failed):
        assert line_of(told, HOSTILE, {HOSTILE: HOSTILE}).isprintable()
