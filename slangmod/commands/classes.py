"""Classes of others that settings name, looked at before anything is written."""

import torch

from slangmod.model.build import skeleton
from slangmod.optim import check_optimizer
from slangmod.settings.plugins import functions_named, is_plugin
from slangmod.settings.sections import Settings
from slangmod.settings.stages import stages_of


def check_classes(settings: Settings, vocab: int, device: torch.device) -> None:
    """Raise SettingsError unless all classes can be imported and used on ``device``.

    The optimizers of all stages are tried on a miniature of the model.
    """
    stages = [plan.settings for plan in stages_of(settings)]
    optimizers = [one for one in stages if is_plugin(one.train.optimizer)]
    if optimizers or any(functions_named(settings.model)):
        model = skeleton(settings.model, vocab, settings.plugins.allow)
        for one in dict.fromkeys(optimizers):
            check_optimizer(one, model, device)
