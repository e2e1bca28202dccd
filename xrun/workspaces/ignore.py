"""Which files of a folder stay at home: one kind of ignore file decides, see the package."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING, Protocol

from xrun.workspaces.problems import IGNORE, refused, shown_path, unreadable
from xrun.workspaces.sources import git_top

if TYPE_CHECKING:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern as Pattern

# bytes that are no ASCII become characters that nothing takes for a space or a letter
_HIGH = {byte: 0xF700 + byte for byte in range(0x80, 0x100)}

_FOLDER = "ps_d"

XRUN, DOCKER, GIT = ".xrunignore", ".dockerignore", ".gitignore"


class Rules(Protocol):
    """What holds in one folder. ``path`` is below the source's top, with ``/``."""

    def ignored(self, path: str, is_folder: bool) -> bool:
        """Whether it stays at home."""
        ...

    def searched(self, path: str) -> bool:
        """Whether something in an ignored folder may travel all the same."""
        ...

    def inside(self, path: str) -> Rules:
        """What holds in a folder; ``""`` is the source's top folder."""
        ...


def rules_of(top: str, *, within: bool = False) -> Rules:
    """What holds around a source's top folder; `Rules.inside` reads on from there.

    Args:
        top: the folder.
        within: whether the folders above it are none of the source's business.

    Raises:
        InvalidJob: an ignore file can't be read or understood.
    """
    if os.path.lexists(os.path.join(top, XRUN)):
        return GitRules(XRUN, top, "")
    if os.path.lexists(os.path.join(top, DOCKER)):
        return DockerRules(_docker_patterns(os.path.join(top, DOCKER)))
    return GitRules(GIT, top, "") if within else _above(top)


class GitRules:
    """Patterns of the folder itself and of those above; the nearest that says something decides.

    Args:
        file_name: the name of the ignore files.
        top: the folder that paths are read from.
        below: the way from there to the source's top, with a ``/`` at its end.
        known: the folders with patterns so far, as their length as a path and their patterns, the nearest first.
    """

    def __init__(
        self, file_name: str, top: str, below: str, known: tuple[tuple[int, tuple[Pattern, ...]], ...] = ()
    ) -> None:
        self._file_name, self._top, self._below, self._known = file_name, top, below, known

    def ignored(self, path: str, is_folder: bool) -> bool:
        """As git says: the last pattern that matches."""
        text = _bytes_as_text(self._below + path) + "/" * is_folder
        for length, patterns in self._known:
            below = text[length:]
            for pattern in patterns:
                if _is_meant(pattern, below):
                    return bool(pattern.include)
        return False

    def searched(self, path: str) -> bool:
        """Never: git brings nothing back from an ignored folder."""
        return False

    def inside(self, path: str) -> GitRules:
        """With the folder's own ignore file, if it has one."""
        folder = self._below + path
        lines = _lines(os.path.join(self._top, folder, self._file_name))
        if not lines:
            return self
        return self.with_lines(folder.rstrip("/"), lines, os.path.join(self._top, folder, self._file_name))

    def with_lines(self, folder: str, lines: list[bytes], file: str) -> GitRules:
        """With more patterns, for the paths in a folder."""
        patterns = [p for number, line in enumerate(lines, 1) for p in _compile(_bytes_to_text(line), file, number)]
        length = len(_bytes_as_text(folder)) + 1 if folder else 0
        known = ((length, tuple(reversed(patterns))), *self._known)
        return GitRules(self._file_name, self._top, self._below, known)


class DockerRules:
    """Patterns of one file; a pattern that matches a folder matches all in it, and the last that matches decides.

    Args:
        patterns: each with whether it leaves out (True) or brings back.
        folder: which of them match the folder that this is for.
    """

    def __init__(self, patterns: tuple[tuple[Pattern, bool], ...], folder: tuple[bool, ...] = ()) -> None:
        self._patterns = patterns
        self._folder = folder or (False,) * len(patterns)
        self._brings_back = any(not out for _, out in patterns)

    def ignored(self, path: str, is_folder: bool) -> bool:
        """As the last pattern says that matches the path or a folder that it is in."""
        text = _readable(path)
        for i in range(len(self._patterns) - 1, -1, -1):
            pattern, out = self._patterns[i]
            if self._folder[i] or pattern.match_file(text) is not None:
                return out
        return False

    def searched(self, path: str) -> bool:
        """If any pattern brings something back."""
        return self._brings_back

    def inside(self, path: str) -> DockerRules:
        """The same patterns, with what is known of the folder."""
        if not path:
            return self
        text = _readable(path)
        matched = (
            was or pattern.match_file(text) is not None
            for was, (pattern, _) in zip(self._folder, self._patterns, strict=True)
        )
        return DockerRules(self._patterns, tuple(matched))


def _above(top: str) -> GitRules:
    """What a repository says about one of its folders, in its own folders above and in ``.git/info/exclude``."""
    repository = git_top(top)
    if not repository:
        return GitRules(GIT, top, "")
    below = os.path.relpath(top, repository) + "/" if top != repository else ""
    rules = GitRules(GIT, repository, "")
    exclude = os.path.join(repository, ".git", "info", "exclude")
    if os.path.isdir(os.path.join(repository, ".git")) and (lines := _lines(exclude)):
        rules = rules.with_lines("", lines, exclude)
    folder = ""
    for name in below.split("/")[:-1]:
        rules = rules.inside(folder)
        folder = f"{folder}{name}/"
        if rules.ignored(folder[:-1], is_folder=True):
            return GitRules(GIT, top, "")  # who names an ignored folder wants what is in it
    return GitRules(GIT, repository, below, rules._known)


def _docker_patterns(file: str) -> tuple[tuple[Pattern, bool], ...]:
    found = []
    for number, line in enumerate(_lines(file), 1):
        text = line.decode("utf-8", "replace")
        if text.startswith("#"):
            continue
        text = text.strip()
        out = not text.startswith("!")
        # as Docker cleans it: no ., no double or last /; a leading / changes nothing, each pattern starts at the top
        path = posixpath.normpath(text.removeprefix("!").strip()).lstrip("/")
        if path not in ("", ".", "..") and not path.startswith("../"):
            found += [(pattern, out) for pattern in _compile(f"/{path}", file, number)]
    return tuple(found)


def _compile(line: str, file: str, number: int) -> list[Pattern]:
    from pathspec import GitIgnoreSpec

    try:
        spec = GitIgnoreSpec.from_lines([line])
    except ValueError as error:
        place = f"{file}:{number}"
        message = f"the pattern {shown_path(line)} can't be understood"
        raise refused(IGNORE, place, message, "write it as in .gitignore") from error
    return [pattern for pattern in spec.patterns if pattern.include is not None]


def _is_meant(pattern: Pattern, text: str) -> bool:
    """Whether a pattern says something about a path itself, not about a folder that it is in: git forgets those.

    pathspec's patterns match both, and have a group at the ``/`` after a folder.
    """
    regex = pattern.regex
    if regex is None:
        return False
    if _FOLDER not in regex.groupindex:
        return regex.search(text.removesuffix("/")) is not None
    if regex.pattern[0] != "^":  # any folder, however deep: the first of them is found
        return text.endswith("/")
    found = regex.search(text)
    return found is not None and found.start(_FOLDER) in (-1, len(text) - 1)


def _lines(file: str) -> list[bytes]:
    """The lines of an ignore file; none if there is no such file."""
    try:
        with open(file, "rb") as stream:
            content = stream.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return []
    except OSError as error:
        raise unreadable(file, error) from error
    return [line.removesuffix(b"\r") for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n")]


def _bytes_as_text(path: str) -> str:
    """A path as git compares it: byte by byte. A newline is no end of a line in it."""
    if not path.isascii():
        path = _bytes_to_text(path.encode("utf-8", "surrogateescape"))
    return path.replace("\n", "\0")


def _bytes_to_text(content: bytes) -> str:
    return content.decode("latin-1").translate(_HIGH)


def _readable(path: str) -> str:
    """A path as Docker compares it: character by character."""
    if not path.isascii():
        path = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return path.replace("\n", "\0")
