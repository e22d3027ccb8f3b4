import pytest
import torch

from slangmod.optim.light import light

KINDS = {
    torch.optim.AdamW: {"fused": True, "weight_decay": 0.1},
    torch.optim.Adam: {"fused": True},
    torch.optim.Adafactor: {},
    torch.optim.NAdam: {},
    torch.optim.SGD: {"momentum": 0.9},
    torch.optim.Muon: {},
}


def trained(kind, options):
    """Weights after five steps, the third of which follows a save and a restore."""
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(6, 4))
    target = torch.randn(6, 4)
    optimizer = kind([{"params": [weight]}], lr=0.1, **options)
    for step in range(5):
        if step == 2:
            content = optimizer.state_dict()
            optimizer = kind([{"params": [weight]}], lr=0.1, **options)
            optimizer.load_state_dict(content)
        ((weight - target) ** 2).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        assert weight.grad is None
    return weight.detach()


@pytest.mark.parametrize(("kind", "options"), KINDS.items())
def test_steps_are_those_of_torch_to_the_bit(kind, options):
    found, wanted = trained(light(kind), options), trained(kind, options)
    assert torch.equal(found, wanted)
    assert not torch.equal(wanted, trained(kind, options | {"weight_decay": 0.5}))


def test_it_is_still_of_the_class_it_was_made_from():
    optimizer = light(torch.optim.AdamW)([torch.zeros(1, requires_grad=True)])
    assert isinstance(optimizer, torch.optim.AdamW)
    assert type(optimizer).__name__ == "AdamW"


def test_steps_leave_no_trace_for_gradients():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = light(torch.optim.AdamW)([weight], lr=0.1)
    weight.sum().backward()
    optimizer.step()
    assert weight.grad_fn is None
    assert torch.is_grad_enabled()


def test_a_closure_still_has_gradients():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = light(torch.optim.SGD)([weight], lr=0.1)

    def loss():
        total = weight.sum()
        total.backward()
        return total

    assert optimizer.step(loss) == 2
    assert weight.tolist() == pytest.approx([0.9, 0.9])
