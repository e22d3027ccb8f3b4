"""What is done to each document: replacing characters, normalising, cutting."""

import re
import unicodedata
from collections.abc import Callable, Iterator

from slangmod.errors import SettingsError
from slangmod.settings.sections import Settings

Cleaner = Callable[[str], str]

QUOTES = str.maketrans(
    "\u2032\u2018\u2019\u201a\u201b" + "\u2033\u201c\u201d\u201e\u201f",
    "'" * 5 + '"' * 5,
)
"""Prime, then quotation marks: single and double alike."""

ARTICLE = re.compile(r"\s*_START_ARTICLE_.*?(?:_START_PARAGRAPH_\s*|\Z)", re.DOTALL)
SECTION = re.compile(r"\s*_START_SECTION_.*?(?:_START_PARAGRAPH_\s*|\Z)", re.DOTALL)
BREAK = re.compile(r"\s*(?:_NEWLINE_|_START_PARAGRAPH_)\s*")


def build_cleaner(settings: Settings) -> Cleaner:
    """The cleaners of ``files.cleaners``, one after the other, as one function."""
    steps = [CLEANERS[name](settings) for name in settings.files.cleaners]
    if not steps:
        return str
    from swak.funcflow import Pipe

    cleaner: Cleaner = Pipe[[str], str](steps)
    return cleaner


def build_cutter(settings: Settings) -> Callable[[str], Iterator[str]]:
    """What cuts a text into documents wherever ``tokens.eos_regex`` matches."""
    if settings.tokens.eos_regex is None:
        return whole
    try:
        return cut_at(re.compile(settings.tokens.eos_regex))
    except (re.error, OverflowError, RecursionError) as error:
        raise SettingsError(
            f'tokens.eos_regex = "{settings.tokens.eos_regex}": not a regular '
            f"expression of Python: {error}"
        ) from None


def whole(text: str) -> Iterator[str]:
    """The text itself, as the only document."""
    yield text


def cut_at(pattern: re.Pattern[str]) -> Callable[[str], Iterator[str]]:
    """Cut where ``pattern`` matches; what it matches and empty pieces fall away.

    A match of no width, such as that of a lookahead, cuts and takes nothing.
    """

    def cut(text: str) -> Iterator[str]:
        begin = 0
        for match in pattern.finditer(text):
            if match.start() > begin:
                yield text[begin : match.start()]
            begin = match.end()
        if begin < len(text):
            yield text[begin:]

    return cut


def straighten_quotes(text: str) -> str:
    """Typographic quotation marks and primes become plain ' and "."""
    return text.translate(QUOTES)


def normalise(text: str) -> str:
    """Unicode's NFC: equal characters become equal code points.

    Not NFKC, which would also turn 2² into 22 and so change what a text says.
    """
    return unicodedata.normalize("NFC", text)


def fit_into(encoding: str) -> Cleaner:
    """Each character that ``encoding`` does not have becomes a space.

    Raises SettingsError if there is no such character set.
    """
    try:
        " ".encode(encoding)
    except (LookupError, ValueError):
        raise SettingsError(
            f'files.encoding = "{encoding}": not a character set that Python knows; '
            "choose one such as ascii, latin-1, cp1252 or utf-8"
        ) from None

    def fit(text: str) -> str:
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return text.translate({ord(c): " " for c in set(text) if not fits(c)})
        return text

    def fits(character: str) -> bool:
        try:
            character.encode(encoding)
        except UnicodeEncodeError:
            return False
        return True

    return fit


def strip_wiki40b(paragraph_break: str) -> Cleaner:
    """Take the markers of the data set wiki40b out of a text.

    The title of an article falls away with its marker; headings of sections and the
    ends of paragraphs become ``paragraph_break``.
    """

    def strip(text: str) -> str:
        body = ARTICLE.sub("", text)
        # As functions, so that a backslash in the break stays one.
        body = SECTION.sub(lambda _: paragraph_break, body)
        return BREAK.sub(lambda _: paragraph_break, body)

    return strip


CLEANERS: dict[str, Callable[[Settings], Cleaner]] = {
    "quotes": lambda _: straighten_quotes,
    "encoding": lambda settings: fit_into(settings.files.encoding),
    "wiki40b": lambda settings: strip_wiki40b(settings.tokens.eos_string),
    "unicode": lambda _: normalise,
}
