"""The examples in docstrings are true."""

import doctest
import importlib
import pkgutil

import slangmod

MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(slangmod.__path__, "slangmod.")
    if not found.name.endswith("__main__")
)


def test_examples_in_docstrings_are_true():
    tried = 0
    for name in MODULES:
        outcome = doctest.testmod(importlib.import_module(name))
        assert outcome.failed == 0, name
        tried += outcome.attempted
    assert tried
