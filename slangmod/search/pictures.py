"""Pictures of a sweep, drawn by optuna: how it went, what mattered, and how."""

import io
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution

from slangmod.search.grammar import parsed
from slangmod.search.proposals import as_direction, distributions
from slangmod.search.records import frozen
from slangmod.search.storage import quiet
from slangmod.search.study import COMPLETE, Record
from slangmod.settings.literals import short

NEEDS = {"history": 1, "importance": 2, "slices": 1}
"""Complete trials without which there is nothing to draw, by picture."""

SIZES = {"history": (8.0, 5.0), "importance": (8.0, 4.0)}
EACH_SLICE = (4.0, 4.5)
"""Inches; of slices, those of the picture of one parameter."""


def pictures_of(
    records: Sequence[Record], space: Mapping[str, str], direction: str, metric: str
) -> dict[str, Callable[[str], bytes | None]]:
    """Names of pictures, and what draws each as ".svg" or ".png".

    It returns None where there are too few trials to draw from. Raises ValueError for
    trials that are not of the space.
    """
    from optuna.visualization import matplotlib as plots

    quiet()
    study = _study(records, space, direction)
    done = sum(record.state == COMPLETE for record in records)
    word = labels([metric])[metric]
    drawings: dict[str, Callable[[optuna.Study], Any]] = {
        "history": partial(plots.plot_optimization_history, target_name=word),
        "importance": partial(plots.plot_param_importances, target_name=word),
        "slices": partial(plots.plot_slice, target_name=word),
    }
    return {
        name: partial(_drawn, name, draw, study, done < NEEDS[name])
        for name, draw in drawings.items()
    }


def _study(
    records: Sequence[Record], space: Mapping[str, str], direction: str
) -> optuna.Study:
    """A study in memory of the complete trials, in order, its texts fit to be drawn."""
    kinds = distributions({name: parsed(text) for name, text in space.items()})
    frozen(records, kinds)  # as they stand, so that an error names what is written
    words = labels(kinds)
    choices = {name: _choices(kind) for name, kind in kinds.items()}
    shown = [
        replace(record, parameters=_worded(record.parameters, words, choices))
        for record in records
    ]
    drawn = {words[name]: _shown(kind, choices[name]) for name, kind in kinds.items()}
    study = optuna.create_study(direction=as_direction(direction))
    study.add_trials(frozen(shown, drawn))
    return study


def _worded(
    parameters: Mapping[str, Any],
    words: Mapping[str, str],
    choices: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Parameters under the names, and with the texts, that stand in a picture."""
    return {
        words[name]: choices[name][value] if isinstance(value, str) else value
        for name, value in parameters.items()
    }


def _choices(kind: BaseDistribution) -> dict[str, str]:
    """What stands in a picture for each text of a choice."""
    values = kind.choices if isinstance(kind, CategoricalDistribution) else ()
    return labels(value for value in values if isinstance(value, str))


def _shown(kind: BaseDistribution, words: Mapping[str, str]) -> BaseDistribution:
    """The same, with other words for texts."""
    if not isinstance(kind, CategoricalDistribution):
        return kind
    return CategoricalDistribution(
        [words[one] if isinstance(one, str) else one for one in kind.choices]
    )


def labels(texts: Iterable[str]) -> dict[str, str]:
    """For each text one that can be drawn: short, printable, no formula, its own.

    >>> labels(["model.dim", "$x$"])
    {'model.dim': 'model.dim', '$x$': '\\\\$x\\\\$'}
    """
    found: dict[str, str] = {}
    for text in texts:
        label = short(text).replace("$", r"\$")
        while label in found.values():
            label += "'"
        found[text] = label
    return found


def _drawn(
    name: str,
    draw: Callable[[optuna.Study], Any],
    study: optuna.Study,
    too_few: bool,
    kind: str,
) -> bytes | None:
    """The bytes of a picture; None where there is nothing to see."""
    if too_few:
        return None
    from matplotlib import pyplot, rc_context

    picture = io.BytesIO()
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "slangmod"}):
        warnings.simplefilter("ignore")
        pyplot.switch_backend("agg")
        metadata = {"Date": None} if kind == ".svg" else {"Software": None}
        how = {"dpi": 150, "metadata": metadata, "bbox_inches": "tight"}
        try:
            figure = _laid_out(draw(study), name)
            figure.savefig(picture, format=kind[1:], **how)
        # All trials are alike, or the picture would be larger than any can be.
        except (ValueError, RuntimeError, ArithmeticError):
            return None
        finally:
            pyplot.close("all")
    return picture.getvalue()


def _laid_out(axes: Any, name: str) -> Any:
    """The figure of what optuna has drawn, in a size that fits what is in it."""
    from matplotlib.ticker import MaxNLocator, NullFormatter

    first = axes if hasattr(axes, "get_figure") else axes.flat[0]
    figure = first.get_figure()
    width, height = EACH_SLICE
    panels = [panel for panel in figure.axes if panel.get_xlabel()]
    size = SIZES.get(name, (width * max(2, len(panels)), height))
    for panel in panels:
        if panel.get_xscale() == "log":  # or the ticks between powers would overlap
            panel.xaxis.set_minor_formatter(NullFormatter())
        elif panel.get_xlabel() == "Trial":
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.set_size_inches(size)
    return figure
