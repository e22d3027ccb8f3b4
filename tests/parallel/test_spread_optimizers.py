"""Optimizers of rows: together they do what one does with the whole."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from slangmod.errors import SettingsError
from slangmod.optim import build_optimizer
from slangmod.optim.optimizers import NUMBER_BY_NUMBER, OPTIMIZERS, SPREAD
from slangmod.optim.state import is_of_rows, restore, stored
from slangmod.parallel.shards import Shards, own_parameters, rows_of
from slangmod.settings.sections import Settings
from slangmod.training.step import clip_gradients
from tests.parallel.threads import together

STEPS = 12
LIMIT = 0.8
"""Of the norm, which is far above."""
TOLERANCE = dict.fromkeys(NUMBER_BY_NUMBER, 1e-6) | {"adafactor": 1e-5, "muon": 1e-5}


class Little(nn.Module):
    """Matrices of odd shapes, one with fewer rows than processes, and vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 5)
        self.up, self.down = nn.Linear(7, 13), nn.Linear(9, 3)
        self.shards: Shards | None = None


def lessons() -> list[dict[str, torch.Tensor]]:
    """A gradient of each weight for each step."""
    chance = torch.Generator().manual_seed(7)
    shapes = {name: weight.shape for name, weight in Little().named_parameters()}
    return [
        {name: torch.randn(shape, generator=chance) for name, shape in shapes.items()}
        for _ in range(STEPS)
    ]


def settings_of(name):
    changes = {"train.optimizer": name, "train.learning_rate": 0.01}
    return Settings().replace(**changes)


def share_of(model, team):
    """The same model, of which only some rows are this process's own."""

    def cut(whole):
        rows = rows_of(team.rank, team.size, len(whole))
        return whole[rows.start : rows.stop].detach().clone()

    share = deepcopy(model)
    named = dict(model.named_parameters())
    share.shards = Shards(
        team,
        {name: nn.Parameter(cut(whole)) for name, whole in named.items()},
        {name: tuple(whole.shape) for name, whole in named.items()},
        torch.device("cpu"),
        lambda: None,
        lambda: None,
    )
    return share, cut


def learn(model, optimizer, all_lessons, cut=torch.clone):
    """Take a step for each lesson; -> the norms of the gradients."""
    norms = []
    for lesson in all_lessons:
        for name, weight in own_parameters(model).items():
            weight.grad = cut(lesson[name])
        norm = clip_gradients(list(model.parameters()), LIMIT, model.shards)
        optimizer.step()
        norms.append(norm.item())
    return norms


@pytest.mark.parametrize(
    ("name", "size"),
    [*((name, 4) for name in TOLERANCE), *((name, 2) for name in SPREAD)],
)
def test_rows_learn_what_the_whole_learns(name, size):
    torch.manual_seed(3)
    start, all_lessons = Little(), lessons()
    whole = deepcopy(start)
    optimizer = build_optimizer(settings_of(name), whole)
    norms = learn(whole, optimizer, all_lessons)
    remembered, _ = stored(optimizer, whole)

    def act(team):
        share, cut = share_of(start, team)
        own = build_optimizer(settings_of(name), share)
        assert learn(share, own, all_lessons, cut) == pytest.approx(norms, 1e-6)
        found, _ = stored(own, share)
        assert found.keys() == remembered.keys()
        moments = {
            place: cut(one)
            if is_of_rows(own, place.rpartition("/")[2], one.ndim)
            else one
            for place, one in remembered.items()
        }
        weights = {n: cut(one) for n, one in whole.named_parameters()}
        wanted = {**moments, **weights}
        close = {"rtol": TOLERANCE[name], "atol": TOLERANCE[name]}
        for place, one in {**found, **share.shards.own}.items():
            torch.testing.assert_close(one.detach(), wanted[place], **close, msg=place)

    assert together(size, act) == [None] * size


@pytest.mark.parametrize("name", SPREAD)
def test_what_rows_remember_is_put_back(name):
    torch.manual_seed(3)
    start, all_lessons = Little(), lessons()

    def act(team):
        share, cut = share_of(start, team)
        first = build_optimizer(settings_of(name), share)
        learn(share, first, all_lessons[:5], cut)
        again, _ = share_of(start, team)
        for place, weight in again.shards.own.items():
            weight.data.copy_(share.shards.own[place])
        second = build_optimizer(settings_of(name), again)
        tensors, scalars = stored(first, share)
        restore(second, again, deepcopy(tensors), scalars)
        learn(share, first, all_lessons[5:], cut)
        learn(again, second, all_lessons[5:], cut)
        return all(
            torch.equal(one, again.shards.own[place])
            for place, one in share.shards.own.items()
        )

    assert together(2, act) == [True, True]


def test_every_optimizer_is_known_to_be_of_rows_or_refused():
    refused = OPTIMIZERS.keys() - {*SPREAD, *NUMBER_BY_NUMBER}
    assert refused == {"bfgs"}
    for name in (*refused, "torch.optim:RAdam"):

        def act(team, name=name):
            share, _ = share_of(Little(), team)
            build_optimizer(settings_of(name), share)

        first, second = together(2, act)
        assert isinstance(first, SettingsError)
        assert str(first) == str(second)
        assert f'train.optimizer = "{name}"' in str(first)
        assert 'parallel.strategy = "ddp"' in str(first)
