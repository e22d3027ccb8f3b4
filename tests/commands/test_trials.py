from slangmod.commands.trials import visible_devices
from slangmod.settings import load_settings


def test_trials_take_turns_on_the_graphics_cards_there_are():
    two = load_settings(None, {"sweep.workers": 2})
    assert visible_devices(two, {"CUDA_VISIBLE_DEVICES": "2, GPU-5f"}) == [
        "2",
        "GPU-5f",
    ]
    assert visible_devices(two, {"CUDA_VISIBLE_DEVICES": "2"}) == []
    cpu = load_settings(None, {"sweep.workers": 2, "data.device": "cpu"})
    one = load_settings(None, {"sweep.workers": 1})
    for settings in (cpu, one):
        assert visible_devices(settings, {"CUDA_VISIBLE_DEVICES": "0,1"}) == []
