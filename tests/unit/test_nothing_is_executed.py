"""Nothing that comes over the wire or from a file is unpickled, evaluated, or used as a format.

Read from the source itself, beside ruff's bandit rules: what those do not know is looked for here.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for package in ("pipeline", "protocols", "services")
    for path in (ROOT / package).rglob("*.py")
)
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "msg", "log"}
EXECUTING_MODULES = {
    "pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal",
    "jsonpickle", "yaml", "code", "codeop", "runpy", "xmlrpc",
}  # fmt: skip
EXECUTING_CALLS = {"eval", "exec", "compile", "__import__", "execfile", "breakpoint", "input"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
UNPICKLING_CALLS = {"read_array", "open_memmap", "read_pickle", "fromfile", "loadtxt", "genfromtxt"}
BY_NAME = {
    # The topology is the operator's, and its names are [a-z][a-z0-9_]*; services.NAME has to have
    # a `build`.
    "services/stages.py",
    # The name is one of this package's own files.
    "services/controllers/registry.py",
    # The name is looked up in a dict of this file.
    "pipeline/__init__.py",
}
FORMATS = {
    # Their format is a literal of the same file, handed to a function.
    "services/results/distributions.py",
}


class Call:
    """A call in a source file, as the rules see it."""

    def __init__(self, call: ast.Call, file: str) -> None:
        self.file = file
        self.function = ast.unparse(call.func)
        self.receiver, _, self.name = self.function.rpartition(".")
        self.arguments = call.args
        self.keywords = {
            each.arg: each.value.value
            for each in call.keywords
            if isinstance(each.value, ast.Constant)
        }
        self.first_is_text = bool(call.args) and is_text(call.args[0])
        self.receiver_is_text = isinstance(call.func, ast.Attribute) and is_text(call.func.value)


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


RULES: dict[str, Callable[[Call], bool]] = {
    "runs what it is given": lambda c: c.function in EXECUTING_CALLS,
    "may unpickle, or evaluates what it reads": lambda c: c.name in UNPICKLING_CALLS,
    "needs allow_pickle=False": lambda c: (
        c.function in {"np.load", "numpy.load"} and c.keywords.get("allow_pickle") is not False
    ),
    "imports a name that is not a literal": lambda c: (
        c.name == "import_module" and c.file not in BY_NAME and not c.first_is_text
    ),
    "has a format that is not a literal": lambda c: (
        c.name in {"format", "format_map"}
        and c.file not in FORMATS
        and c.receiver not in {"", "msgspec.json"}
        and not c.receiver_is_text
    ),
    "takes extension types, or any key": lambda c: (
        c.function in {"msgpack.unpackb", "msgpack.unpack", "msgpack.Unpacker"}
        and (c.keywords.get("max_ext_len"), c.keywords.get("strict_map_key")) != (0, True)
    ),
    "formats the event of a log line": lambda c: (
        "log" in c.receiver.lower().rpartition(".")[2] and c.name in LEVELS and len(c.arguments) > 1
    ),
    "is a shell": lambda c: c.keywords.get("shell") is True or c.function in SHELLS,
}


def faults(source: str, file: str) -> list[str]:
    """Return what is wrong in a source file, with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
            if EXECUTING_MODULES & {module.partition(".")[0] for module in modules}:
                found.append(f"{file}:{node.lineno}: import of {', '.join(modules)}")
        elif isinstance(node, ast.Call):
            call = Call(node, file)
            broken = [what for what, rule in RULES.items() if rule(call)]
            found += [f"{file}:{node.lineno}: {call.function} {what}" for what in broken]
    return found


def test_no_source_file_runs_what_it_reads() -> None:
    assert len(SOURCES) > 80
    found = []
    for path in SOURCES:
        file = path.relative_to(ROOT).as_posix()
        found += faults(path.read_text(encoding="utf-8"), file)
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "eval(header)",
        "exec(header)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "npy_format.read_array(file)",
        "importlib.import_module(name)",
        "text.format(value)",
        "'{}'.join(x).format_map(y)",
        "log.warning(text, value)",
        "self._log.error('%s', value)",
        "structlog.get_logger().info(text, value)",
        "msgpack.unpackb(raw)",
        "msgpack.unpackb(raw, max_ext_len=0)",
        "os.system(name)",
        "subprocess.run(name, shell=True)",
    ],
)
def test_what_would_run_is_found(line: str) -> None:
    assert len(faults(line, "services/x.py")) == 1


@pytest.mark.parametrize(
    "line",
    [
        "np.load(path, allow_pickle=False)",
        "'{}'.format(value)",
        "log.warning('frame.failed', reason=text)",
        "importlib.import_module('pyarrow')",
        "re.compile(pattern)",
        "sqlite3.connect(path).execute(query, values)",
    ],
)
def test_what_is_harmless_is_left_alone(line: str) -> None:
    assert faults(line, "services/x.py") == []
