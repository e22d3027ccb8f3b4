import math

from slangmod.training.events import perplexity


def test_a_perplexity_beyond_all_numbers_is_infinite():
    assert perplexity(1e4) == math.inf
    assert math.isnan(perplexity(math.nan))
    assert perplexity(1.0) == math.e
