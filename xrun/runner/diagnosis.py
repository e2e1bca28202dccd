"""What works here, what is missing and what mends it: the findings that ``xrun doctor`` prints.

Plugins and systems may fail in any way or never answer, so each is tried in a thread of its own and waited for only so
long.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from xrun import __version__, plugins, schedulers
from xrun.errors import BackendUnavailable, InvalidConfig, UnknownName, WaitTimeout, XrunError
from xrun.runner import filesystems, requirements
from xrun.runner.defaults import Defaults
from xrun.schedulers.home import HOME_VARIABLE, home, unwritable

if TYPE_CHECKING:
    from xrun.runner.config import Config
    from xrun.schedulers.api import Probe

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that plugins and systems have to answer, all together."""

GROUPS = (plugins.SCHEDULERS, plugins.COMPONENTS, plugins.NAMED_RESOURCES, plugins.CLI_COMMANDS)
_RECENT = 30 * 86400


class Verdict(str, Enum):
    """MISSING is what isn't there and isn't used; what is used and does not work is BROKEN."""

    OK = "ok"
    MISSING = "missing"
    BROKEN = "broken"


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        section: what it belongs to.
        subject: what it is.
        verdict: how it is.
        detail: what was found, or what is wrong.
        fix: what mends it, a command where there is one; else empty.
        used: whether what is used here hangs on it.
        unreachable: whether it is a system that did not answer.
    """

    section: str
    subject: str
    verdict: Verdict
    detail: str
    fix: str = ""
    used: bool = False
    unreachable: bool = False


class Diagnosis(NamedTuple):
    """Everything that was looked at.

    Attributes:
        used: the schedulers that are used.
        findings: by section.
    """

    used: list[str]
    findings: list[Finding]

    @property
    def failures(self) -> list[Finding]:
        """What is used and does not work."""
        return [f for f in self.findings if f.used and f.verdict is not Verdict.OK]


def diagnose(scheduler: str | None = None, patience: float = PATIENCE) -> Diagnosis:
    """Looks at everything.

    Args:
        scheduler: the one that is used (default: the default one, those that the configuration has tables for, and
            those of recent jobs).
        patience: seconds that plugins and systems have to answer.

    Raises:
        UnknownName: there is no scheduler of that name.
    """
    names = schedulers.scheduler_names()
    if scheduler is not None:
        scheduler = schedulers.require_name(scheduler)
    files, config = _configuration(patience)
    used, wrong = _used(config) if scheduler is None else ([scheduler], [])
    registered = [plugin for group in GROUPS for plugin in plugins.registered(group)]
    loads = {plugin: partial(plugins.load, plugin.group, plugin.name) for plugin in registered}
    probes = {name: partial(_probe, name) for name in dict.fromkeys([*names, *used])}
    answers = bounded({**loads, **probes}, patience)
    findings = [*_xrun(), *_home(), *files, *wrong, _git()]
    for name in probes:
        findings += _scheduler(name, answers[name], name in used, patience)
    findings += _plugins(registered, answers)
    return Diagnosis(used, [*findings, *_extras()])


def bounded(calls: Mapping[K, Callable[[], T]], seconds: float) -> dict[K, T | BaseException]:
    """Calls functions side by side and waits only so long for all of them together.

    Returns:
        By key what each gave or raised; a `WaitTimeout` for one that has not ended, which goes on by itself.
    """
    import threading
    import time

    results: dict[K, T | BaseException] = {}

    def run(key: K, call: Callable[[], T]) -> None:
        try:
            results[key] = call()
        except BaseException as error:  # noqa: BLE001 - a plugin may fail in any way, sys.exit() included
            results[key] = error

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in calls.items()]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return {key: results.get(key, WaitTimeout(f"no answer within {seconds:g} s")) for key in calls}


# --- what is used ----------------------------------------------------------------------------------------------------


def _used(config: Config | None) -> tuple[list[str], list[Finding]]:
    """The schedulers that are used here, and what is wrong where that is said."""
    found, wrong = [], []
    try:
        found.append(Defaults().scheduler)
    except UnknownName as error:
        found.append(error.name)  # asked like the others, it says that there is none
    except InvalidConfig as error:
        found.append(schedulers.DEFAULT_SCHEDULER)
        if config is not None:  # else the file itself was found wrong
            wrong.append(Finding("configuration", "profile", Verdict.BROKEN, str(error), used=True))
    found += config.scheduler_names if config else []
    try:
        found += _recent()
    except XrunError as error:
        wrong.append(Finding("home", "history", Verdict.BROKEN, str(error)))
    return list(dict.fromkeys(schedulers.own_name(name) for name in found)), wrong


def _recent() -> list[str]:
    """The schedulers of recent jobs.

    Raises:
        XrunError: the history can't be read.
    """
    import time

    from xrun.runner.history import History, Query

    past = History(lambda _: None)
    try:
        rows = past.recent(Query(since=time.time() - _RECENT))
    finally:
        past.close()
    return [row.handle.partition(":")[0] for row in rows]


# --- sections --------------------------------------------------------------------------------------------------------


def _ok(section: str, subject: str, detail: str, *, used: bool = False) -> Finding:
    return Finding(section, subject, Verdict.OK, detail, used=used)


def _xrun() -> Iterator[Finding]:
    section, package = "xrun", os.path.dirname(os.path.dirname(__file__))
    yield _ok(section, "xrun", f"{__version__}, {package}")
    yield _ok(section, "python", f"{platform.python_version()}, {sys.executable}")
    yield _ok(section, "platform", platform.platform())
    yield _ok(section, "JSON Schemas", os.path.join(package, "schemas"))
    needed = requirements.of_extra("")
    if needed is None:
        yield _ok(section, "dependencies", "not installed as a package, so that its requirements are not known")
    elif wanting := [r for r in needed if r.wants]:
        detail = "; ".join(r.wants for r in wanting)
        yield Finding(section, "dependencies", Verdict.BROKEN, detail, requirements.command(wanting), used=True)
    else:
        yield _ok(section, "dependencies", ", ".join(f"{r.name} {r.installed}" for r in needed), used=True)


def _home() -> Iterator[Finding]:
    folder = home()
    why = unwritable(folder)
    if why:
        fix = f"set {HOME_VARIABLE} to a folder you may write to"
        yield Finding("home", "folder", Verdict.BROKEN, why, fix, used=True)
        return
    yield _ok("home", "folder", folder if os.path.isdir(folder) else f"{folder}, made when needed", used=True)
    place = folder
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    there = os.statvfs(place)
    free = there.f_bavail * there.f_frsize
    yield _ok("home", "disk", f"{filesystems.kind(place) or 'unknown file system'}, {free / 2**30:.1f} GiB free")


def _configuration(patience: float) -> tuple[list[Finding], Config | None]:
    from xrun.runner import config
    from xrun.runner.config import files

    section, fix = "configuration", "mend that line; xrun configure --print shows what may stand in a file"
    try:
        loaded = config.load()
    except InvalidConfig as error:
        return [Finding(section, "files", Verdict.BROKEN, str(error), fix, used=True)], None
    answer = bounded({section: loaded.check}, patience)[section]  # it asks plugins what they know
    problems = [answer] if isinstance(answer, BaseException) else answer
    if problems:
        return [Finding(section, "files", Verdict.BROKEN, _reason(p), fix, used=True) for p in problems], loaded
    found = [_ok(section, str(file.path), "valid", used=True) for file in loaded.files]
    nothing = f"none; {files.FILE} in the working directory or above it, or {files.user_file()}"
    return found or [_ok(section, "files", nothing)], loaded


def _git() -> Finding:
    import shutil
    import subprocess

    program = shutil.which("git")
    if program is None:
        return Finding(
            "programs", "git", Verdict.MISSING, "the history can't say which commit a job was", "install git"
        )
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=PATIENCE, check=True)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Finding("programs", "git", Verdict.MISSING, f"{program} does not work: {error}", "install git anew")
    return _ok("programs", "git", f"{done.stdout.strip().removeprefix('git version ')}, {program}")


# --- schedulers ------------------------------------------------------------------------------------------------------


def _probe(name: str) -> list[Probe]:
    from xrun.runner import config

    scheduler = schedulers.create_scheduler(name, "default")
    with contextlib.suppress(XrunError):  # what is wrong with the configuration is said elsewhere
        options = scheduler.run_opts()
        configured = options.resolve(config.load().scheduler_options(scheduler.name, options))
        scheduler.configured = lambda: configured
    try:
        return scheduler.probe()
    finally:
        scheduler.close()


def _scheduler(name: str, answer: Any, used: bool, patience: float) -> Iterator[Finding]:
    section = f"scheduler {name}"
    if isinstance(answer, BaseException):
        hangs = isinstance(answer, WaitTimeout)
        away = hangs or isinstance(answer, BackendUnavailable)
        verdict = Verdict.MISSING if away and not used else Verdict.BROKEN
        fix = f"xrun doctor -s {name} --timeout {max(60, 2 * patience):g} waits longer" if hangs else ""
        yield Finding(section, "answer", verdict, _reason(answer), fix, used, away)
        return
    for probe in answer:
        verdict = Verdict.OK if probe.ok else Verdict.BROKEN if used else Verdict.MISSING
        yield Finding(section, probe.subject, verdict, probe.detail, used=used, unreachable=probe.unreachable)
    if not answer:
        yield _ok(section, "loads", "it has nothing that could be missing", used=used)


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    known = type(error).__module__.partition(".")[0] == "xrun"
    return text if known else f"{type(error).__name__}: {text}"


# --- plugins and extras ----------------------------------------------------------------------------------------------


def _plugins(found: list[plugins.Plugin], answers: Mapping[Any, Any]) -> Iterator[Finding]:
    broken = {(b.group, b.name): b for b in plugins.broken()}
    seen: set[tuple[str, str]] = set()
    for plugin in found:
        key = plugin.group, plugin.name
        section, where = f"plugins {plugin.group}", f"{plugin.target} ({plugin.package} {plugin.version})"
        if key in seen or plugin.name in _OURS.get(plugin.group, lambda: ())():
            whose = "another package's" if key in seen else "xrun's own"
            detail = f"{where}: hidden by {whose} of that name"
            yield Finding(section, plugin.name, Verdict.BROKEN, detail, f"rename it in {plugin.package}")
        elif key in broken:
            fix = f"pip install --upgrade {plugin.package}, or pip uninstall it"
            yield Finding(section, plugin.name, Verdict.BROKEN, f"{where}: {broken.pop(key).reason}", fix)
        elif isinstance(answers[plugin], BaseException):
            yield Finding(section, plugin.name, Verdict.BROKEN, f"{where}: importing it, {_reason(answers[plugin])}")
        else:
            yield _ok(section, plugin.name, where)
        seen.add(key)
    for (group, name), plugin_ in broken.items():
        if (group, name) not in seen:
            fix = f"pip install --force-reinstall {name}"
            yield Finding(f"plugins {group}", name, Verdict.BROKEN, f"{plugin_.target}: {plugin_.reason}", fix)


def _our_components() -> Mapping[str, str]:
    from xrun.components.finder import BUILTINS

    return BUILTINS


_OURS: dict[str, Callable[[], Mapping[str, Any]]] = {
    plugins.SCHEDULERS: lambda: schedulers.BUILTIN,
    plugins.COMPONENTS: _our_components,
}


def _extras() -> Iterator[Finding]:
    for extra in requirements.extras():
        needed = requirements.of_extra(extra) or []
        wanting = [r for r in needed if r.wants]
        if wanting:
            detail = "; ".join(r.wants for r in wanting)
            yield Finding("extras", extra, Verdict.MISSING, detail, requirements.command(wanting))
        else:
            yield _ok("extras", extra, ", ".join(f"{r.name} {r.installed}" for r in needed))
