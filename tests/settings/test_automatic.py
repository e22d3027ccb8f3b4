"""``train.batch_size = "auto"`` says how rows are computed, not how many there are."""

import pytest

from slangmod.errors import SettingsError
from slangmod.settings import load_settings, resolve
from slangmod.settings.automatic import in_portions, portion_sizes

SIZE = "train.batch_size"


@pytest.mark.parametrize(
    ("base", "file", "flags", "expected"),
    [
        ("", "", [], (64, False)),
        ("", "'auto'", [], (64, True)),
        ("16", "'auto'", [], (16, True)),
        ("16", "", [(SIZE, "auto")], (16, True)),
        ("16", "'auto'", [(SIZE, "8")], (8, False)),
        ("'auto'", "16", [], (16, False)),
        ("'auto'", "16", [(SIZE, "auto")], (16, True)),
        ("'auto'", "'auto'", [], (64, True)),
    ],
)
def test_auto_leaves_the_weaker_number_and_a_stronger_number_takes_it_back(
    write, base: str, file: str, flags: list[tuple[str, str]], expected
) -> None:
    def line(value: str) -> str:
        return f"[train]\nbatch_size = {value}\n" if value else ""

    write({"base.toml": line(base), "file.toml": 'base = "base.toml"\n' + line(file)})
    train = resolve("file.toml", flags).settings.train
    assert (train.batch_size, train.largest_batch) == expected


def test_who_asked_is_remembered(write) -> None:
    write({"file.toml": '[train]\nbatch_size = "auto"\n'})
    resolved = resolve("file.toml")
    assert resolved.origin(("train", "largest_batch")) == "file.toml:2"
    again = load_settings(None, {SIZE: "auto"})
    assert again.replace(**{SIZE: 32}).train.largest_batch
    assert again.train.largest_batch


@pytest.mark.parametrize("word", ["Auto", "automatic", "", "auto "])
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(SettingsError, match="must be a whole number"):
        load_settings(None, {SIZE: word})


def test_portions_are_alike_and_make_up_a_step() -> None:
    settings = load_settings(None, {SIZE: 6, "train.step_freq": 4})
    assert portion_sizes(settings) == [1, 2, 3, 6, 12, 24]
    for rows in portion_sizes(settings):
        train = in_portions(settings, rows).train
        assert (train.batch_size, train.batch_size * train.step_freq) == (rows, 24)
    assert in_portions(settings, None) is settings
