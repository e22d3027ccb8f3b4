"""The examples in docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

import slangmod

MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(slangmod.__path__, "slangmod.")
    if not found.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name):
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.failed == 0
