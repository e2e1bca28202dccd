"""What a file of components holds, read from its text: nothing of it is executed.

For completion, which must be quick and must never run a user's code. What only running would tell is left out.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from xrun import plugins
from xrun.components.finder import BUILTINS, is_file

_LARGEST = 2 << 20  # bytes; parsing more takes longer than a person waits for a TAB
_DEEPEST = 8  # nobody nests types that deep; an alias may name itself
_ENUMS = ("Enum", "StrEnum", "IntEnum")
_MANY = ("list", "List", "dict", "Dict", "Sequence", "Mapping", "tuple", "Tuple")


class Option(NamedTuple):
    """A parameter as its text says it.

    Attributes:
        name: as in the signature.
        help: its line in the docstring's ``Args:``; empty if there is none.
        kind: the type's last word, as in ``str``; empty if there is none.
        flag: whether it is a bool.
        values: what it may be, if those are few.
        repeats: whether it may be given several times.
        variadic: whether it is ``*args``.
    """

    name: str
    help: str = ""
    kind: str = ""
    flag: bool = False
    values: tuple[str, ...] = ()
    repeats: bool = False
    variadic: bool = False


def functions(path: str) -> dict[str, str]:
    """The components of a file, with the first line of what each is for; none if it can't be read.

    Args:
        path: a Python file; a folder stands for its ``__init__.py``.
    """
    return {name: _first_line(found) for name, (found, _) in _components(path).items()}


def options(component: str) -> list[Option]:
    """What a component takes, in the order of its signature; nothing if it can't be found.

    Args:
        component: ``dist.ddp``, ``file.py:fn``, ``pkg.module:fn`` or a plugin's name.
    """
    path, function = _place(component)
    found = _components(path, anything=True).get(function) if path else None
    if found is None:
        return []
    node, module = found
    helps = dict(_helps(ast.get_docstring(node) or ""))
    a = node.args
    read = [_option(p, module, helps) for p in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
    return [*read, _option(a.vararg, module, helps)._replace(variadic=True)] if a.vararg else read


def plugin_components() -> dict[str, str]:
    """Components of installed plugins, with the first line of what each is for."""
    found: dict[str, str] = {}
    for name, target in plugins.targets(plugins.COMPONENTS).items():
        module, _, function = target.partition(":")
        inside = functions(module_file(module))
        if function:
            found[name] = inside.get(function, "")
        else:
            found |= {f"{name}.{f}": doc for f, doc in inside.items()}
    return found


def module_file(name: str) -> str:
    """Where a module's text is; empty if that can't be said. Unlike find_spec it doesn't import the packages around.

    The working directory comes last, as it does for `xrun.components.loading.load_module`.
    """
    search: Any = None
    full, spec = "", None
    for part in name.split("."):
        full = f"{full}.{part}" if full else part
        spec = _spec(full, search) or (_spec(full, [os.getcwd()]) if search is None else None)
        if spec is None:
            return ""
        search = list(spec.submodule_search_locations or [])
    origin = spec.origin if spec else None
    return origin if origin and origin.endswith(".py") else ""


def _spec(name: str, search: Any) -> Any:
    for finder in sys.meta_path:
        with suppress(Exception):  # other packages' finders may fail in any way; theirs is then not found
            if spec := finder.find_spec(name, search, None):
                return spec
    return None


def _place(component: str) -> tuple[str, str]:
    """(file, function) of a component."""
    target = BUILTINS.get(component)
    if target is None and ":" not in component:
        registered = plugins.targets(plugins.COMPONENTS)
        head, _, function = component.rpartition(".")
        target = registered.get(component) or (f"{registered[head]}:{function}" if head in registered else "")
    module, _, function = (target or component).rpartition(":")
    if target is None and is_file(module):
        return os.path.expanduser(module), function
    return module_file(module), function


def _components(path: str, *, anything: bool = False) -> dict[str, tuple[ast.FunctionDef, ast.Module]]:
    """Functions that say they return an AppDef; ``anything`` also takes those that say nothing or something else."""
    module = _parse(path)
    if module is None:
        return {}
    found = {}
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and (
            anything or (_says_appdef(node.returns) and not node.name.startswith("_"))
        ):
            found[node.name] = (node, module)
        elif isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            # a package that re-exports its components; one step is followed
            beside = os.path.join(os.path.dirname(path), *node.module.split(".")) + ".py"
            inside = _components(beside, anything=anything) if os.path.basename(path) == "__init__.py" else {}
            found |= {a.asname or a.name: inside[a.name] for a in node.names if a.name in inside}
    return found


def _parse(path: str) -> ast.Module | None:
    import warnings

    try:
        if os.stat(path).st_size > _LARGEST or not os.path.isfile(path):
            return None
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(file.read())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _says_appdef(node: ast.expr | None) -> bool:
    return node is not None and _last_word(node) == "AppDef"


def _last_word(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.rpartition(".")[2]
    return node.id if isinstance(node, ast.Name) else ""


def _first_line(node: ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "").partition("\n")[0].strip()


def _helps(doc: str) -> Iterator[tuple[str, str]]:
    """Parameter and its line, from a Google style docstring."""
    _, _, rest = doc.partition("Args:\n")
    for m in re.finditer(r"^ +\*{0,2}(\w+)(?: \([^)\n]*\))?: (.+)$", rest, re.MULTILINE):
        yield m[1], m[2].strip()


def _option(arg: ast.arg, module: ast.Module, helps: dict[str, str]) -> Option:
    about = Option(arg.arg, helps.get(arg.arg, ""))
    return _typed(about, arg.annotation, module, depth=0)


def _typed(option: Option, hint: ast.expr | None, module: ast.Module, depth: int) -> Option:
    """The option with what its annotation says."""
    if hint is None or depth > _DEEPEST:
        return option
    if isinstance(hint, ast.Constant) and isinstance(hint.value, str):
        try:
            return _typed(option, ast.parse(hint.value, mode="eval").body, module, depth + 1)
        except (SyntaxError, ValueError):
            return option
    if isinstance(hint, ast.BinOp):
        sides = [side for side in (hint.left, hint.right) if not _is_none(side)]
        return _typed(option, sides[0], module, depth + 1) if len(sides) == 1 else option
    if isinstance(hint, ast.Subscript):
        return _subscripted(option, hint, module, depth)
    word = _last_word(hint)
    if word == "bool":
        return option._replace(flag=True, kind="bool", values=("yes", "no"))
    alias = _defined(word, module)
    if isinstance(alias, ast.ClassDef):
        return option._replace(kind=word, values=tuple(_members(alias)))
    if isinstance(alias, ast.expr):
        return _typed(option, alias, module, depth + 1)
    return option._replace(kind=word, repeats=word in _MANY)


def _subscripted(option: Option, hint: ast.Subscript, module: ast.Module, depth: int) -> Option:
    word = _last_word(hint.value)
    inside = list(hint.slice.elts) if isinstance(hint.slice, ast.Tuple) else [hint.slice]
    if word == "Literal":
        texts = tuple(str(e.value) for e in inside if isinstance(e, ast.Constant) and e.value is not None)
        return option._replace(kind="Literal", values=texts)
    if word in ("Optional", "Annotated", "Union"):
        kinds = [e for e in inside if not _is_none(e)]
        if word != "Union" or len(kinds) == 1:
            return _typed(option, kinds[0], module, depth + 1) if kinds else option
        return option
    return option._replace(kind=word, repeats=word in _MANY)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _defined(word: str, module: ast.Module) -> ast.ClassDef | ast.expr | None:
    """An Enum or an alias of a type that the file itself defines."""
    for node in module.body:
        if isinstance(node, ast.ClassDef) and node.name == word:
            return node if any(_last_word(base) in _ENUMS for base in node.bases) else None
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == word for t in node.targets):
            return node.value
    return None


def _members(node: ast.ClassDef) -> Iterator[str]:
    for line in node.body:
        if isinstance(line, ast.Assign):
            yield from (t.id for t in line.targets if isinstance(t, ast.Name) and not t.id.startswith("_"))
