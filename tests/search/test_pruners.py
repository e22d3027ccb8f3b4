import pytest
from optuna.pruners import ThresholdPruner

from slangmod.search.pruners import build_pruner, pruners_for
from slangmod.settings.watching import Sweep

WORDS = Sweep.model_fields["pruner"].annotation.__args__


@pytest.mark.parametrize("name", WORDS)
def test_every_word_of_the_setting_is_a_pruner(name, recwarn):
    assert build_pruner(name, 5, 2.0).prune is not None
    assert not recwarn.list


def test_no_pruner_is_without_a_word():
    assert set(pruners_for(5, 2.0)) == set(WORDS)
    assert isinstance(build_pruner("threshold", 5, 2.0), ThresholdPruner)
