"""The command line, with trials that only pretend to train."""

import sys
from pathlib import Path

from slangmod import cli
from slangmod.commands import neighbours, sweep

if __name__ == "__main__":
    neighbours.SECONDS_BETWEEN_BEATS = 0.2
    neighbours.SECONDS_BETWEEN_LOOKS = 0.1
    neighbours.SECONDS_UNTIL_DEAD = 3.0
    sweep.PROGRAM = (sys.executable, str(Path(__file__).with_name("fake_trial.py")))
    sys.exit(cli.main(sys.argv[1:]))
