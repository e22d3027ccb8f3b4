"""Files of a sweep that others have made or altered: a line, exit 2, nothing changed."""

import json
import os
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
import tomli
import tomli_w

from slangmod import cli
from tests.commands.test_sweep import encoded_bytes as encoded_bytes
from tests.commands.test_sweep import search
from tests.commands.test_sweep import work as work

WORDS = ("--name", "s", "--sweep.n_trials", "2")
HOSTILE = "a\x1b[2Jb\u202ec\u2066d\x9be\nf"


@pytest.fixture(scope="session")
def swept(encoded_bytes, tmp_path_factory):
    """The folder of a sweep of two trials, made once, and a database with another."""
    folder = tmp_path_factory.mktemp("swept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", open(os.devnull, "w"))  # noqa: PTH123, SIM115
        for path in encoded_bytes.iterdir():
            (folder / path.name).symlink_to(path)
        patch.chdir(folder)
    return folder
