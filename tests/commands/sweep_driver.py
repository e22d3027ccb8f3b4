"""The command line, with trials that only pretend to train."""

import sys
from pathlib import Path

from slangmod import cli
from slangmod.commands import sweep

if __name__ == "__main__":
    sweep.PROGRAM = (sys.executable, str(Path(__file__).with_name("fake_trial.py")))
    sys.exit(cli.main(sys.argv[1:]))
