"""The shape of the package: imports go down, import does nothing, nothing is long."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import slangmod

ROOT = Path(slangmod.__file__).parent
MODULES = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.rglob("*.py")
)

LAYERS = (
    {"errors", "libraries"},
    {"reading", "syncing"},
    {"files"},
    {"locks"},
    {"growing"},
    {"complaints"},
    {"settings"},
    {"plugins"},
    {"parallel"},
    {"text", "data", "model", "optim"},
    {"training"},
    {"search", "runs", "generation"},
    {"commands"},
    {"api"},
    {"cli", "__init__"},
    {"__main__"},
)
"""From the ground up; what stands in one line never imports each other."""

NEVER_AT_MODULE_LEVEL = {
    "matplotlib",
    "mlflow",
    "pandas",
    "plotly",
    "polars",
    "pyarrow",
    "swak",
    "tensorboard",
    "tokenizers",
    "zstandard",
}
"""Slow to import, so imported by the functions that need them."""

WITHOUT_TORCH = (
    "__init__",
    "cli",
    "commands/__init__",
    "commands/call",
    "data/shards",
    "errors",
    "files",
    "syncing",
    "locks",
    "growing",
    "complaints",
    "parallel/launch",
    "plugins",
    "runs/",
    "settings/",
    "text/",
)
"""Modules, or folders of them, that start fast because torch stays out."""

DECLARING_CALLS = {
    "Annotated",
    "ConfigDict",
    "Field",
    "Path",
    "Path(__file__).with_name",
    "TypeVar",
    "chr",
    "dataclass",
    "dict",
    "enumerate",
    "field",
    "frozenset",
    "getattr",
    "hasattr",
    "inspect.unwrap",
    "logging.getLogger",
    "lru_cache",
    "range",
    "re.compile",
    "struct.Struct",
    "setting",
    "str.maketrans",
    "torch.inference_mode",
    "torch.no_grad",
    "tuple",
}
"""Calls that only make a value, and so may happen at import; so do those of classes
of this package, whose names begin with a capital letter."""

NOT_AT_IMPORT = {"TYPE_CHECKING", "__name__ == '__main__'"}
"""Conditions under which a block is not run when its module is imported."""

MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_A_FUNCTION = 40


@cache
def tree_of(module):
    return ast.parse((ROOT / f"{module}.py").read_text("utf-8"))


def layer_of(module):
    top = module.split("/")[0]
    return next(number for number, names in enumerate(LAYERS) if top in names)


def imports(nodes):
    """Dotted names that the import statements among ``nodes`` may load."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_module(name):
    """The module of this package that a dotted name lies in, None for another's."""
    parts = name.split(".")
    if parts[0] != "slangmod":
        return None
    for end in range(len(parts), 1, -1):
        if "/".join(parts[1:end]) in MODULES:
            return "/".join(parts[1:end])
        if "/".join([*parts[1:end], "__init__"]) in MODULES:
            return "/".join([*parts[1:end], "__init__"])
    return "__init__"


def run_at_import(node):
    """All nodes that are evaluated when a module is imported."""
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        parts = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
        parts += getattr(node, "decorator_list", [])
    elif isinstance(node, ast.AnnAssign):
        parts = [part for part in (node.value,) if part is not None]
    elif isinstance(node, ast.If) and ast.unparse(node.test) in NOT_AT_IMPORT:
        parts = node.orelse
    else:
        parts = ast.iter_child_nodes(node)
    for part in parts:
        yield from run_at_import(part)


def functions(module):
    return (
        node
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def lines_without_docstring(function):
    body = function.body
    documented = ast.get_docstring(function) is not None
    docstring = body[0].end_lineno - body[0].lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - docstring


def test_imports_go_down_only():
    for module in MODULES:
        for name in imports(ast.walk(tree_of(module))):
            target = own_module(name)
            if target is None or target.split("/")[0] == module.split("/")[0]:
                continue
            if name == "slangmod.__version__":  # a constant, there before anything else
                continue
            assert layer_of(target) < layer_of(module), f"{module} imports {name}"


def test_import_declares_and_does_not_act():
    for module in MODULES:
        if module == "__main__":
            continue
        for node in run_at_import(tree_of(module)):
            assert not isinstance(
                node, ast.For | ast.While | ast.With | ast.Try | ast.Raise
            ), f"{module}:{node.lineno}"
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                own_class = called[0].isupper() and called.isidentifier()
                of_text = called.endswith((".index", ".join", ".replace"))
                assert called in DECLARING_CALLS or own_class or of_text, (
                    f"{module}: {called}"
                )


def test_no_slow_library_is_loaded_before_it_is_needed():
    for module in MODULES:
        at_import = [
            name.split(".")[0] for name in imports(run_at_import(tree_of(module)))
        ]
        assert not NEVER_AT_MODULE_LEVEL.intersection(at_import), module
        if any(module == fast or module.startswith(fast) for fast in WITHOUT_TORCH):
            assert "torch" not in at_import, module


def test_the_command_line_starts_without_slow_libraries():
    code = (
        "import sys, slangmod.cli; print(*(set(sys.argv[1:]) & set(sys.modules)), "
        "'threads', __import__('threading').active_count())"
    )
    slow = [*NEVER_AT_MODULE_LEVEL, "torch", "numpy", "tqdm"]
    done = subprocess.run(
        [sys.executable, "-c", code, *slow], capture_output=True, text=True, check=True
    )
    assert done.stdout == "threads 1\n"


def test_no_file_and_no_function_is_too_long():
    for module in MODULES:
        lines = (ROOT / f"{module}.py").read_text("utf-8").count("\n")
        assert lines <= MOST_LINES_OF_A_FILE, module
        for function in functions(module):
            assert lines_without_docstring(function) <= MOST_LINES_OF_A_FUNCTION, (
                f"{module}: {function.name}"
            )


def test_nothing_can_run_what_a_file_holds():
    for module in MODULES:
        forbidden = {"eval", "exec", "compile", "__import__", "torch.load", "os.system"}
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in forbidden, module
                shell = [word for word in node.keywords if word.arg == "shell"]
                assert not shell, f"{module} asks for a shell"
        for name in imports(ast.walk(tree_of(module))):
            assert name.split(".")[0] not in {"pickle", "marshal", "shelve", "dill"}, (
                module
            )


def test_only_files_py_opens_files_for_writing():
    for module in MODULES:
        if module == "files":
            continue
        for node in ast.walk(tree_of(module)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if not called.startswith("files."):
                assert not called.endswith((".write_text", ".write_bytes")), module
            if called == "open" or called.endswith((".open", ".fdopen")):
                texts = [
                    argument.value
                    for argument in [
                        *node.args,
                        *(word.value for word in node.keywords),
                    ]
                    if isinstance(argument, ast.Constant)
                    and isinstance(argument.value, str)
                ]
                assert not any(set(text) & set("wax+") for text in texts), module


OPENING = {
    *("open", "read_text", "read_bytes", "fdopen", "fromfile", "memmap", "safe_open"),
    *("ParquetFile", "read_metadata", "read_table", "load_file"),
}
"""Last names of calls that open a file by its path, or may."""

OPENS = {
    "reading": {"os.open", "os.fdopen"},
    # folders, and files that are its own
    "syncing": {"os.open"},
    # folders that are its own, beside what it writes
    "files": {"os.open", "aside.open", "path.open"},
    # what is given to these is known to be a regular file, or a stream of one
    "data/checking": {"np.fromfile"},
    "model/folder": {"safe_open"},
    "training/parts": {"safe_open"},
    "text/corpus": {"read_metadata"},
    "text/readers": {"ParquetFile"},
    "text/unpacking": {"gzip.open"},
    # what a user names, which may be a pipe
    "settings/read": {"path.open"},
    # files of Python, of slangmod, of the system
    "text/sample": {"path.read_bytes"},
    "runs/pages": {"resources.files('slangmod.runs').joinpath('web', name).read_text"},
    "training/memory": {"path.read_text"},
    "runs/environment": {"CPU_INFO.read_text"},
    "cli": {"os.open"},
    "commands/lookout": {"Path(f'/proc/{process}/stat').read_text"},
    # a device that takes whatever is written
    "text/breakdown": {"os.open"},
    "commands/streams": {"os.open"},
    "commands/profile": {"aside.read_bytes"},
    # a log, which opens nothing but what grows
    "commands/recording": {"log.open"},
    "commands/resume": {"log.open"},
    "commands/sweep_folder": {"log.open"},
}
"""Where a file is opened by other than ``reading.open_regular`` and ``regular``."""


def test_only_syncing_py_makes_folders_with_those_above():
    """Which makes their names durable."""
    for module in MODULES:
        calls = (
            node for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)
        )
        for call in calls:
            name = ast.unparse(call.func).rpartition(".")[2]
            assert name != "makedirs", module
            assert name != "mkdir" or "parents" not in {
                one.arg for one in call.keywords
            }, module


def test_what_others_may_have_made_is_opened_by_reading_py():
    """Which waits for no pipe and reads no device."""
    for module in MODULES:
        found = {
            ast.unparse(node.func)
            for node in ast.walk(tree_of(module))
            if isinstance(node, ast.Call)
        }
        opening = {name for name in found if name.rpartition(".")[2] in OPENING}
        assert opening == OPENS.get(module, set()), module
