"""What may come next at the command line, for completion."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from xrun.cli import known
from xrun.specs.values import FALSE, TRUE

if TYPE_CHECKING:
    from xrun.components.outline import Option

Item = CompletionItem[str]
_MOST_REPLICAS = 64  # offered one by one


def candidates(words: Sequence[str], word: str) -> list[Item]:
    """What may stand for ``word``: whole words; one of type ``file`` or ``dir`` leaves it to the shell.

    Args:
        words: the ones before it, without the program's name.
        word: what is typed of it so far.
    """
    from xrun.cli.main import VERBS, cli, with_verb

    if not words and not word.startswith("-"):
        verbs = [Item(verb, help=text) for verb, (_, text) in VERBS.items() if verb.startswith(word)]
        return verbs + _components(word)
    verb, *rest = with_verb([*words, ""])[:-1]
    context = click.Context(cli, info_name="xrun")
    command = cli.get_command(context, verb)
    if command is None:
        return []
    found = _Line(command, rest).complete(word)
    return [*found, *_begins(("--version",), word)] if not words else found


class _Line:
    """The words after a verb, read as click reads them, but without a refusal.

    Args:
        command: the verb.
        words: those that are complete.
    """

    def __init__(self, command: click.Command, words: Sequence[str]) -> None:
        self.command = command
        self.options = {
            spelling: p
            for p in command.params
            if isinstance(p, click.Option)
            for spelling in (*p.opts, *p.secondary_opts)
        }
        self.given: dict[str, list[str]] = {}
        self.pending: click.Option | None = None
        self.positional: list[str] = []
        self.ended = False
        self.takes_component = {"component", "args"} <= {p.name for p in command.params}
        self.rest: Sequence[str] = ()
        self._read(words)

    def _read(self, words: Sequence[str]) -> None:
        for i, word in enumerate(words):
            if self.pending is not None:
                self.given[str(self.pending.name)].append(word)
                self.pending = None
            elif self.ended or word == "-" or not word.startswith("-"):
                self.positional.append(word)
                if self.takes_component:
                    self.rest = words[i + 1 :]
                    return
            elif word == "--":
                self.ended = True
            else:
                self._option(word)

    def _option(self, word: str) -> None:
        spelling, assigned, value = word.partition("=")
        option = self.options.get(spelling)
        if option is not None:
            values = self.given.setdefault(str(option.name), [])
            if assigned:
                values.append(value)
            elif not _is_flag(option):
                self.pending = option

    def complete(self, word: str) -> list[Item]:
        if self.pending is not None:
            return self._values(self.pending, word)
        if self.takes_component and self.positional:
            return _component_words(self.positional[0], self.rest, word)
        if word.startswith("-") and not self.ended:
            spelling, assigned, value = word.partition("=")
            option = self.options.get(spelling)
            if assigned and option is not None and not _is_flag(option):
                return _prefixed(f"{spelling}=", self._values(option, value))
            return self._options(word)
        arguments = [p for p in self.command.params if isinstance(p, click.Argument)]
        at = len(self.positional)
        if at < len(arguments) or (arguments and arguments[-1].nargs == -1):
            return self._values(arguments[min(at, len(arguments) - 1)], word)
        return []

    def _options(self, word: str) -> list[Item]:
        found = [
            Item(spelling, help=option.help)
            for spelling, option in self.options.items()
            if spelling.startswith(word)
            and not option.hidden
            and (option.multiple or option.name not in self.given)
            and (spelling.startswith("--") or len(option.opts) == 1 or not word.startswith("--"))
        ]
        return found + _begins(("--help",), word, "Show this message and exit.")

    def _values(self, parameter: click.Parameter, word: str) -> list[Item]:
        if parameter.name == "cfg":
            return _cfg((self.given.get("scheduler") or [""])[-1], word)
        if parameter.name == "workspace":
            return [Item(word, type="dir")]
        source = _SOURCES.get(str(parameter.name))
        if source is not None:
            return source(word)
        if isinstance(parameter.type, click.Choice):
            return _choices(parameter.type, word)
        return list(parameter.shell_complete(click.Context(self.command), word))


def _is_flag(option: click.Option) -> bool:
    return option.is_flag or option.count


def _begins(names: Iterable[str], word: str, about: str | None = None) -> list[Item]:
    return [Item(name, help=about) for name in names if name.startswith(word)]


def _choices(choice: click.Choice[str], word: str) -> list[Item]:
    """As they are listed; click would give them in lower case where case doesn't matter."""
    fold = str if choice.case_sensitive else str.lower
    return [Item(c) for c in map(str, choice.choices) if fold(c).startswith(fold(word))]


def _prefixed(begin: str, items: Iterable[Item]) -> list[Item]:
    return [i if i.type != "plain" else Item(begin + i.value, help=i.help, open=i.open) for i in items]


def _components(word: str) -> list[Item]:
    """Components by name, Python files and, after ``FILE.py:``, the functions in it."""
    from xrun.components import finder, outline

    place, colon, _ = word.partition(":")
    if colon:
        path = os.path.expanduser(place) if finder.is_file(place) else outline.module_file(place)
        found = outline.functions(path) if path else {}
        return [Item(f"{place}:{f}", help=doc) for f, doc in found.items() if f"{place}:{f}".startswith(word)]
    names = {**dict.fromkeys(finder.BUILTINS, ""), **outline.plugin_components()}
    return [Item(name, help=names[name]) for name in sorted(names) if name.startswith(word)] + _files(word)


def _files(word: str) -> list[Item]:
    """Python files, which a function must follow, and folders on the way to some."""
    folder, begin = os.path.split(word)
    prefix = word[: len(word) - len(begin)]
    found = []
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:
            for entry in entries:
                if not entry.name.startswith(begin) or (entry.name.startswith((".", "__")) and not begin):
                    continue
                if entry.name.endswith(".py"):
                    found.append(Item(f"{prefix}{entry.name}:", open=True))
                elif word and entry.is_dir():
                    found.append(Item(f"{prefix}{entry.name}/", open=True))
    except OSError:
        return []
    return sorted(found, key=lambda item: item.value)


def _schedulers(word: str) -> list[Item]:
    from xrun import schedulers

    return _begins(schedulers.scheduler_names(), word)


def _cfg(scheduler: str, word: str) -> list[Item]:
    """``k=`` of a scheduler's options, and the values of those that have few."""
    before, comma, last = word.rpartition(",")
    options = {
        name: (text, hint) for name, text, hint in known.scheduler_options(scheduler or known.default_scheduler())
    }
    name, assigned, value = last.partition("=")
    if assigned and name in options:
        values = ("true", "false") if options[name][1] is bool else ()
        return _prefixed(f"{before}{comma}{name}=", _begins(values, value))
    taken = {part.partition("=")[0] for part in before.split(",")}
    return [
        Item(f"{before}{comma}{name}=", help=text, open=True)
        for name, (text, _) in options.items()
        if name.startswith(last) and name not in taken
    ]


def _handles(word: str) -> list[Item]:
    return [Item(handle) for handle in known.known_handles(word)]


def _targets(word: str) -> list[Item]:
    """Handles; after one and a slash the job's roles, then its replicas."""
    if word.count("/") <= 3:
        return _handles(word)
    parts = word.split("/")
    handle, role = "/".join(parts[:4]), parts[4]
    roles = known.roles_of(handle)
    if len(parts) == 5:
        return [Item(f"{handle}/{name}") for name in roles if name.startswith(role)]
    before, comma, last = parts[5].rpartition(",")
    taken = before.split(",")
    numbers = [str(k) for k in range(min(roles.get(role, 0), _MOST_REPLICAS)) if str(k) not in taken]
    return [Item(f"{handle}/{role}/{before}{comma}{k}") for k in numbers if k.startswith(last)]


_SOURCES: dict[str, Callable[[str], list[Item]]] = {
    "codes": lambda word: [Item(code, help=title) for code, title in known.codes() if code.startswith(word.upper())],
    "component": _components,
    "handle": _handles,
    "names": _schedulers,  # of runopts and configure
    "prefix": lambda word: [item for item in _components(word) if not item.open],
    "print_": lambda word: [item for item in _components(word) if not item.open],
    "profile": lambda word: _begins(known.profiles(), word),
    "scheduler": _schedulers,
    "schedulers": _schedulers,
    "targets": _targets,
}
"""Name of an option or an argument of any verb -> what it may be."""


def _component_words(component: str, words: Sequence[str], word: str) -> list[Item]:
    """A component's own options and their values, then the words for its ``*args``."""
    from xrun.components import outline

    options = {option.name: option for option in outline.options(component) if not option.variadic}
    pending, given, at = None, set(), 0
    while at < len(words):
        option, assigned = _own_option(options, words[at])
        if words[at] == "--" or not words[at].startswith("-"):
            return [Item(word, type="file")]
        at += 1
        if option is None:
            continue
        given.add(option.name)
        if option.flag and not assigned and at < len(words) and words[at].lower() in TRUE | FALSE:
            at += 1
        elif not option.flag and not assigned:
            pending = option if at == len(words) else None
            at += 1
    if pending is not None:
        return _own_values(pending, word)
    if word.startswith("-") or not word:
        option, assigned = _own_option(options, word)
        if option is not None and assigned:
            begin = word.partition("=")[0] + "="
            return _prefixed(begin, _own_values(option, word[len(begin) :]))
        found = _own_spellings([o for o in options.values() if o.repeats or o.name not in given], word)
        if found or word:
            return found
    return [Item(word, type="file")]


def _own_option(options: dict[str, Option], word: str) -> tuple[Option | None, bool]:
    spelling, assigned, _ = word.partition("=")
    name = spelling.lstrip("-").replace("-", "_")
    negated = options.get(name[3:]) if name.startswith("no_") else None
    return options.get(name) or (negated if negated and negated.flag else None), bool(assigned)


def _own_values(option: Option, word: str) -> list[Item]:
    if option.values:
        return _begins(option.values, word)
    return [] if option.kind in ("int", "float") else [Item(word, type="file")]


def _own_spellings(options: Iterable[Option], word: str) -> list[Item]:
    """Options as help shows them; a person who types ``_`` gets it."""
    found = []
    for option in options:
        name = option.name if "_" in word else option.name.replace("_", "-")
        spellings = [f"-{name}" if len(name) == 1 and not word.startswith("--") else f"--{name}"]
        if option.flag and word.startswith("--no"):
            spellings.append(f"--no{'_' if '_' in word else '-'}{name}")
        found += [Item(s, help=option.help) for s in spellings if s.startswith(word)]
    return found + _begins(("--help",), word, "Show this message and exit.")
