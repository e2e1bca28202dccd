"""A user's file or module, imported; whatever is wrong with it becomes one line that names the place."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import traceback
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from types import CodeType, ModuleType

from xrun.errors import InvalidComponent, UnknownName, describe_os_error

_loaded: dict[str, tuple[tuple[int, int], ModuleType]] = {}
_entered: set[str] = set()
_NOT_THE_USERS = ("<frozen", __file__, os.path.dirname(os.__file__))


class _Loader(SourceFileLoader):
    """Compiles the text each time: Python's own cache misses an edit of the same size in the same second."""

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


def load_file(path: str) -> ModuleType:
    """A Python file as a module, read again only when the file has changed.

    The file's folder goes on sys.path, before what is installed. Files of one name in different
    folders stay apart, and so do the modules beside them.

    Raises:
        UnknownName: there is no such file.
        InvalidComponent: it can't be read or imported.
    """
    full = os.path.realpath(path)
    folder = os.path.dirname(full)
    try:
        stat = os.stat(full)
    except FileNotFoundError:
        beside = os.listdir(folder) if os.path.isdir(folder) else []
        known = [os.path.join(os.path.dirname(path), file) for file in beside if file.endswith(".py")]
        raise UnknownName("file", path, known) from None
    except OSError as error:
        raise InvalidComponent(describe_os_error(error, "read the component file"), code="XR031") from error
    _enter(folder)
    version = (stat.st_mtime_ns, stat.st_size)
    before = _loaded.get(full)
    if before is not None and before[0] == version:
        return before[1]
    module = _import_file(full)
    _loaded[full] = (version, module)
    return module


def load_module(name: str) -> ModuleType:
    """A module by its dotted name, installed or in the working directory.

    Raises:
        UnknownName: there is no such module.
        InvalidComponent: it can't be imported.
    """
    here = os.getcwd()
    # last, so that a file here can't take the place of an installed package
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
        importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            hint = f"looked in {here} and the installed packages; for a file write FILE.py:FUNCTION"
            raise UnknownName("module", name, hint=hint) from None
        raise InvalidComponent(where(error, name), code="XR031") from error
    except (Exception, SystemExit) as error:
        raise InvalidComponent(where(error, name), code="XR031") from error


def _import_file(path: str) -> ModuleType:
    stem = os.path.splitext(os.path.basename(path))[0]
    name = f"xrun_file_{stem}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
    loader = _Loader(name, path)
    module = module_from_spec(ModuleSpec(name, loader, origin=path))
    module.__file__ = path
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InvalidComponent(where(error, path), code="XR031") from error
    return module


def _enter(folder: str) -> None:
    """Puts a folder on sys.path; modules of the same names beside files of other folders are forgotten.

    It goes behind the standard library, much of which xrun imports later, and before everything that is installed.
    """
    others = [p for p in sys.path if p != folder]
    place = next((i for i, p in enumerate(others) if p in _entered or p.endswith("-packages")), len(others))
    if sys.path[place : place + 1] == [folder] or (folder in sys.path and folder not in _entered):
        return
    _entered.add(folder)
    sys.path[:] = [*others[:place], folder, *others[place:]]
    importlib.invalidate_caches()
    for name in {file.partition(".")[0] for file in os.listdir(folder)} & sys.modules.keys():
        if _folder_of(sys.modules[name]) in _entered - {folder}:
            _forget(name)


def _folder_of(module: ModuleType) -> str:
    """The folder on sys.path that a top-level module comes from."""
    file = getattr(module, "__file__", None) or ""
    folder = os.path.dirname(file)
    return os.path.dirname(folder) if os.path.basename(file) == "__init__.py" else folder


def _forget(package: str) -> None:
    for name in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
        del sys.modules[name]


def where(error: BaseException, place: str) -> str:
    """``file:line: what went wrong``; the line is the last one that is neither Python's own nor a library's."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_NOT_THE_USERS)]
    frames = [f for f in frames if f"{os.sep}site-packages{os.sep}" not in f.filename]
    if frames:
        place = f"{frames[-1].filename}:{frames[-1].lineno}"
    reason = str(error).partition("\n")[0]
    return f"{place}: {type(error).__name__}{': ' + reason if reason else ''}"
