import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slangmod.errors import SettingsError
from slangmod.settings.sections import Settings
from slangmod.text.cleaning import (
    CLEANERS,
    build_cleaner,
    build_cutter,
    cut_at,
    fit_into,
    strip_wiki40b,
)


def cleaner(*names, **sections):
    files = {"cleaners": names, **sections.pop("files", {})}
    return build_cleaner(Settings.model_validate({"files": files, **sections}))


@pytest.mark.parametrize(
    ("name", "text", "cleaned"),
    [
        ("quotes", "\u2018a\u2019 5\u2032 \u201ad\u201b", "'a' 5' 'd'"),
        ("quotes", "\u201cb\u201d 7\u2033 \u201ec\u201f", '"b" 7" "c"'),
        ("encoding", "naïve — 中文 “x” \U0001f937!", "naïve —    “x”  !"),
        ("unicode", "e\u0301 2² ﬁ", "é 2² ﬁ"),
        (
            "wiki40b",
            "\n_START_ARTICLE_\nTitle\n_START_PARAGRAPH_\nOne._NEWLINE_Two."
            "\n_START_SECTION_\nHeading\n_START_PARAGRAPH_\nThree.",
            "One.\n\nTwo.\n\nThree.",
        ),
        (
            "wiki40b",
            "\n_START_ARTICLE_\nTitle\n_START_SECTION_\nHeading\n"
            "_START_PARAGRAPH_\nOne.",
            "One.",
        ),
        ("wiki40b", "One.\n_START_PARAGRAPH_\nTwo.", "One.\n\nTwo."),
        ("wiki40b", "\n_START_ARTICLE_\nTitle", ""),
        ("wiki40b", "plain text", "plain text"),
    ],
)
def test_cleaners_do_what_they_say(name, text, cleaned) -> None:
    assert cleaner(name)(text) == cleaned


@given(st.text())
def test_without_cleaners_text_stays_as_it_is(text) -> None:
    assert cleaner()(text) == text


def test_cleaners_follow_each_other_in_the_order_given() -> None:
    ascii_only = {"encoding": "ascii"}
    text = "“x”"
    assert cleaner("quotes", "encoding", files=ascii_only)(text) == '"x"'
    assert cleaner("encoding", "quotes", files=ascii_only)(text) == " x "


@pytest.mark.parametrize("name", CLEANERS)
@given(text=st.text())
def test_cleaning_twice_changes_nothing_more(name, text) -> None:
    once = cleaner(name)(text)
    assert cleaner(name)(once) == once


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8", "gb2312"])
@given(text=st.text())
def test_what_an_encoding_has_stays_and_the_rest_becomes_spaces(encoding, text):
    fitted = fit_into(encoding)(text)
    assert len(fitted) == len(text)
    assert fitted.encode(encoding).decode(encoding) == fitted
    for old, new in zip(text, fitted, strict=True):
        if old != new:
            assert new == " "
            with pytest.raises(UnicodeEncodeError):
                old.encode(encoding)


@pytest.mark.parametrize("encoding", ["klingon", "base64", "cp1252\0"])
def test_an_unknown_encoding_is_refused(encoding) -> None:
    with pytest.raises(SettingsError, match=re.escape(f'encoding = "{encoding}"')):
        fit_into(encoding)


def test_markers_become_what_stands_between_documents() -> None:
    assert strip_wiki40b(r"\1<end>")("a_NEWLINE_b") == r"a\1<end>b"


@pytest.mark.parametrize(
    ("regex", "text", "documents"),
    [
        (None, "a\n\nb", ["a\n\nb"]),
        (r"\n\n+", "a\n\nb\n\n\nc\n\n", ["a", "b", "c"]),
        (r"(?=^Chapter)", "Chapter 1", ["Chapter 1"]),
        (r"(?m)(?=^C)", "x\nC 1\nC 2", ["x\n", "C 1\n", "C 2"]),
        (r"(a)(b)", "1ab2ab3", ["1", "2", "3"]),
        (r"", "abc", ["a", "b", "c"]),
        (r"x", "xxx", []),
    ],
)
def test_texts_are_cut_where_the_pattern_matches(regex, text, documents) -> None:
    settings = Settings.model_validate({"tokens": {"eos_regex": regex}})
    assert list(build_cutter(settings)(text)) == documents


@given(st.text("ab\n"), st.sampled_from([r"\n+", r"(?=b)", r"a(b)?", r"$"]))
def test_cutting_loses_only_what_matches(text, regex) -> None:
    pattern = re.compile(regex)
    pieces = list(cut_at(pattern)(text))
    assert "".join(pieces) == pattern.sub("", text)
    assert all(pieces)


def test_a_bad_pattern_is_refused_with_its_fault() -> None:
    settings = Settings.model_validate({"tokens": {"eos_regex": "(a"}})
    with pytest.raises(SettingsError, match=r"eos_regex = .*unterminated"):
        build_cutter(settings)
