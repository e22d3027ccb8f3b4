"""Wrong values, and what is said of them."""

# ruff: noqa: E501  (one case per line, however long: tables)

import pytest

from slangmod.settings import load_settings, resolve

CASES = [
    ("[train]\nbatch_size = -5", "2: train.batch_size = -5: must be at least 1"),
    ("[train]\nbatch_size = 3.9", "2: train.batch_size = 3.9: must be a whole number, at least 1"),
    ("[train]\nbatch_size = 3.0", "2: train.batch_size = 3.0: must be a whole number, at least 1"),
    ("[train]\nbatch_size = true", "2: train.batch_size = true: must be a whole number, at least 1"),
    ('[train]\nbatch_size = "many"', '2: train.batch_size = "many": must be a whole number, at least 1'),
    ('[train]\nbatch_size = "32"', '2: train.batch_size = "32": must be a whole number, at least 1, without quotes'),
    ("[train]\nbatch_size = [3]", "2: train.batch_size = [3]: must be a whole number, at least 1"),
    ("[train]\nbatch_size = {a = 3}", "2: train.batch_size = {a = 3}: must be a whole number, at least 1"),
    ("[train.batch_size]\na = 3", "1: train.batch_size = {a = 3}: must be a whole number, at least 1"),
    ("[train]\nbatch_size = 1979-05-27", "2: train.batch_size = 1979-05-27: must be a whole number, at least 1"),
    ('[train]\nbatch_size = "none"', '2: train.batch_size = "none": must be a whole number, at least 1'),
    ("[train]\nbatch_size = 99999999999999999999", "2: train.batch_size = 99999999999999999999: must be a whole number of at most 64 bits"),
    ("[train]\nlearning_rate = nan", "2: train.learning_rate = nan: must be a finite number"),
    ("[train]\nlearning_rate = -inf", "2: train.learning_rate = -inf: must be a finite number"),
    ("[train]\nlearning_rate = 0", "2: train.learning_rate = 0: must be above 0"),
    ("[train]\nlearning_rate = true", "2: train.learning_rate = true: must be a number, above 0"),
    ("[train]\npower = 0.4", "2: train.power = 0.4: must be at least 0.5 and at most 1"),
    ("[train]\ngamma = 1", "2: train.gamma = 1: must be above 0 and below 1"),
    ("[train]\npatience = 1", '2: train.patience = 1: must be at least 2, or "none"'),
    ('[train]\npatience = "never"', '2: train.patience = "never": must be a whole number, at least 2, or "none"'),
    ('[train]\noptimizer = "adamm"', "2: train.optimizer = \"adamm\": choose one of adadelta, adafactor, adagrad, adam, adamax, adamw, bfgs, momentum, muon, nadam, nag, rmsprop, rprop, sgd, or a class such as \"torch.optim:RAdam\", from torch, slangmod, or a package in plugins.allow; did you mean 'adam'?"),
    ('[train]\nscaling = "TriangularLR"', "2: train.scaling = \"TriangularLR\": choose one of annealing, constant, cosine, cyclic, exp_range, exponential, inverse, linear, polynomial, restarts, step, triangular, wsd; did you mean 'triangular'?"),
    ("[train]\nwarmup = true", '2: train.warmup = true: must be a whole number, at least 0 or a text such as "5%" (of the planned training), "2 epochs" or "1M tokens"'),
    ('[train]\nwarmup = "5 per cent"', '2: train.warmup = "5 per cent": must be a whole number, at least 0 or a text such as "5%" (of the planned training), "2 epochs" or "1M tokens"'),
    ('[train]\ncooldown = "0%"', '2: train.cooldown = "0%": must be a whole number, at least 1 or a text for more than nothing, such as "5%" (of the planned training), "2 epochs" or "1M tokens"'),
    ("[train]\ncycle_steps = 0", "2: train.cycle_steps = 0: must be at least 1"),
    ("[train]\noptimizer = 3", "2: train.optimizer = 3: choose one of adadelta, adafactor, adagrad, adam, adamax, adamw, bfgs, momentum, muon, nadam, nag, rmsprop, rprop, sgd, or a class such as \"torch.optim:RAdam\", from torch, slangmod, or a package in plugins.allow"),
    ('[train]\nmax_time = "90"', '2: train.max_time = "90": must be a number and its unit s, m, h or d, such as "90s" or "2h", or "none"'),
    ('[train]\nmax_time = "90s\\n"', '2: train.max_time = "90s\\n": must be a number and its unit s, m, h or d, such as "90s" or "2h", or "none"'),
    ('[train]\nmax_time = "٣s"', '2: train.max_time = "٣s": must be a number and its unit s, m, h or d, such as "90s" or "2h", or "none"'),
    ("progress = 1", "1: progress = 1: must be true or false"),
    ('progress = "false"', '1: progress = "false": must be true or false, without quotes'),
    ("workdir = 3", "1: workdir = 3: must be text"),
    ('name = "a b"', '1: name = "a b": must be 1 to 64 letters, digits, ".", "_" and "-", or "none"'),
    ('name = "../up"', '1: name = "../up": must be 1 to 64 letters, digits, ".", "_" and "-", or "none"'),
    ("log_level = 5", "1: log_level = 5: must be at least 10 and at most 50"),
    ('log_level = "inof"', "1: log_level = \"inof\": choose one of critical, debug, error, info, warning, or a whole number, at least 10 and at most 50; did you mean 'info'?"),
    ("[data]\noverlap = -0.1", "2: data.overlap = -0.1: must be at least 0"),
    ('[data]\noverlap = "x"', '2: data.overlap = "x": must be a number, at least 0'),
    ('[data]\ndevice = "gpu"', '2: data.device = "gpu": must be a device of torch, such as "cpu", "cuda" or "cuda:1", or "none"'),
    ('[files]\ncleaners = "quotes"', '2: files.cleaners = "quotes": must be a list, each one of encoding, quotes, unicode, wiki40b'),
    ('[files]\ncleaners = ["unicode", "quots"]', "2: files.cleaners = [\"unicode\", \"quots\"]: must be a list, each one of encoding, quotes, unicode, wiki40b; did you mean 'quotes'?"),
    ("[optimizer]\nbetas = [0.9]", '2: optimizer.betas = [0.9]: must be a list of 2, each a number, at least 0 and below 1, or "none"'),
    ("[optimizer]\nbetas = [0.9, 1.0]", '2: optimizer.betas = [0.9, 1.0]: must be a list of 2, each a number, at least 0 and below 1, or "none"'),
    ("train = 3", "1: train = 3: is a section; set what is in it, such as train.batch_size"),
    ("[[train]]\nwarmup = 3", "1: train = [{warmup = 3}]: is a section; set what is in it, such as train.batch_size"),
    ("extra = 3", "1: extra = 3: must be a table"),
    ("[extra]\na = inf", "2: extra.a = inf: must be a finite number"),
    ('[chat]\nuser = "\\u001b[31m"\nk = -1', "3: chat.k = -1: must be above 0"),
    ('[chat]\nk = "\\u001b[31m"', '2: chat.k = "\\u001B[31m": must be a number, above 0'),
    ('[chat]\nk = "' + "x" * 100 + '"', '2: chat.k = "' + "x" * 60 + '...": must be a number, above 0'),
]  # fmt: skip


@pytest.mark.parametrize(("content", "problem"), CASES)
def test_a_wrong_value_is_named_with_place_and_way_out(
    write, problems_of, content, problem
):
    write({"c.toml": content})
    assert problems_of(load_settings, "c.toml") == (f"c.toml:{problem}",)


def test_the_place_of_a_flag_or_variable_is_its_name(problems_of):
    assert problems_of(resolve, None, [("train.optimizer", "adamm")]) == (
        '--train.optimizer = "adamm": choose one of adadelta, adafactor, adagrad, adam, adamax, adamw, bfgs, momentum, muon, nadam, nag, rmsprop, rprop, sgd, or a class such as "torch.optim:RAdam", from torch, slangmod, or a package in plugins.allow; '
        "did you mean 'adam'?",
    )
    variables = {"SLM_TRAIN__OPTIMIZER": "sgdd"}
    assert problems_of(resolve, None, [], variables) == (
        'SLM_TRAIN__OPTIMIZER = "sgdd": choose one of adadelta, adafactor, adagrad, adam, adamax, adamw, bfgs, momentum, muon, nadam, nag, rmsprop, rprop, sgd, or a class such as "torch.optim:RAdam", from torch, slangmod, or a package in plugins.allow; '
        "did you mean 'sgd'?",
    )


def test_what_is_said_from_python_has_no_place(problems_of):
    assert problems_of(load_settings, None, {"train": {"gamma": 2}}) == (
        "train.gamma = 2: must be above 0 and below 1",
    )


@pytest.mark.parametrize(
    "content",
    [
        "[train]\nlearning_rate = 1",
        "[model.feedforward]\nfactor = 2.5",
        "[data]\noverlap = 0.25",
        "[data]\noverlap = 16",
        'log_level = "debug"',
        "log_level = 15",
        '[data]\ndevice = "cuda:1"',
        '[train]\npatience = "none"',
        "train = {}",
        "[extra.deep.er]\n",
    ],
)
def test_right_values_are_taken(write, content):
    write({"c.toml": content})
    load_settings("c.toml")
