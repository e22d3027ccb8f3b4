import io
import logging

import pytest

from slangmod.commands.live import WIPE, LiveLine


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def screen():
    """A terminal that the log goes to, too."""
    stream = Screen()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("slangmod")
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


def test_lines_of_the_log_appear_above_the_live_line(screen):
    with LiveLine(screen, wanted=True) as live:
        live.show("1 of 4")
        logging.getLogger("slangmod.test").warning("a line")
        live.show("2 of 4")
    assert screen.getvalue() == f"{WIPE}1 of 4{WIPE}a line\n{WIPE}2 of 4{WIPE}"
    logging.getLogger("slangmod.test").warning("later")
    assert screen.getvalue().endswith(f"{WIPE}later\n")


def test_without_a_terminal_or_a_wish_nothing_is_shown(screen):
    plain = io.StringIO()
    for stream, wanted in ((plain, True), (screen, False)):
        with LiveLine(stream, wanted) as live:
            live.show("1 of 4")
    assert plain.getvalue() == screen.getvalue() == ""
