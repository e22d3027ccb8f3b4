"""Whatever is loaded gives settings or SettingsError, and nothing else ever."""

from pathlib import Path

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from slangmod.errors import SettingsError
from slangmod.settings import Settings, load_settings, resolve
from slangmod.settings.catalog import arrays, catalog, tables
from slangmod.settings.show import show

IN_ARRAYS = [
    f"{'.'.join(array)}.{number}.{name}"
    for array, section in arrays().items()
    for number in ("1", "2", "short")
    for name in (*catalog(section), "train.gamma", "data.seq_len", "x")
]
names = st.sampled_from(
    [*catalog(), "extra.a", "extra.a.b", "train", "model", "x.y", "stage"]
) | st.sampled_from([*IN_ARRAYS, *(name.split(".", 2)[-1] for name in IN_ARRAYS)])
expressions = st.builds(
    '"={}"'.format,
    st.sampled_from(
        ["train.batch_size * 2", "1/0", "len(train.lr_schedule)", "base.seed", "9**99"]
    )
    | names
    | st.text(),
)
parts = st.sampled_from(sorted({part for path in tables() for part in path}))
texts = st.one_of(
    st.text(),
    st.integers().map(str),
    expressions,
    st.floats().map(str),
    st.sampled_from(
        ["none", "true", "[1, 2]", "{a = 1}", '"x"', "'", "1 # 2", "\n=", ""]
    ),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=5,
)
lines = st.one_of(
    st.builds("{} = {}".format, names, texts),
    st.builds("[{}]".format, names | parts),
    st.builds("[[{}]]".format, names | parts),
    st.sampled_from(
        ["[[stage]]\nepochs = 1", "[[model.layer]]", "[[optimizer.group]]\nmatch = '*'"]
    ),
    st.builds('base = "{}"'.format, st.text() | st.just("c.toml")),
    st.builds('size = "{}"'.format, texts),
    st.text(),
)
quiet = hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def is_settings_or_refused(function, *args):
    """Call; -> what it gives, or None where it refuses as it should."""
    try:
        return function(*args)
    except SettingsError as error:
        assert error.problems
        assert all(isinstance(one, str) and one for one in error.problems)
        assert not any("\n" in one or "\x1b" in one for one in error.problems)
        return None


@given(st.lists(lines, max_size=8), st.lists(st.tuples(names | st.text(), texts)))
@quiet
def test_any_file_and_any_flags(tmp_path, content, flags):
    path = Path(tmp_path) / "c.toml"
    path.write_bytes("\n".join(content).encode("utf-8", "surrogatepass"))
    resolved = is_settings_or_refused(resolve, path, flags)
    if resolved is not None:
        assert isinstance(resolved.settings, Settings)
        path.write_text(show(resolved), "utf-8")
        assert load_settings(path) == resolved.settings


@given(st.binary())
@quiet
def test_any_bytes(tmp_path, content):
    path = Path(tmp_path) / "c.toml"
    path.write_bytes(content)
    is_settings_or_refused(load_settings, path)


@given(st.dictionaries(names | st.text(), anything, max_size=4))
@quiet
def test_any_overrides_from_python(values):
    settings = is_settings_or_refused(load_settings, None, values)
    if settings is not None:
        hash(settings)


@given(st.dictionaries(st.text().map("SLM_{}".format), texts, max_size=4))
@quiet
def test_any_environment(variables):
    is_settings_or_refused(resolve, None, (), variables)
