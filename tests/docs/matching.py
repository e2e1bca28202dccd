"""Whether a command printed what its page shows: what varies from run to run is compared by its form.

App ids keep their names: ``greet-x7f2q`` on the page stands for whatever id the job got, the same in every later block.
"""

from __future__ import annotations

import difflib
import re

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_HANDLE = re.compile(r"[a-z][\w+.-]*://\w+/([a-z][a-z0-9-]*-[a-z0-9]{5})\b")

# What is written on the page | what may stand there instead.
_VARYING = [
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[+-]\d\d:\d\d|Z)?", None),  # a time
    (r"\b\d{10}\.\d+\b", None),  # Unix seconds
    (r"\b\d+\.\d+ ?s\b", r"\d+\.\d+ ?s"),  # a duration
    (r"(?<![\w./-])\d+[smhd](?![\w./-])", r"\d+[smhd]"),  # an age
]


def shown(text: str) -> str:
    """A terminal's text as a person sees it at the end: without colours, redrawn lines and the spaces of columns."""
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in _ANSI.sub("", text).split("\n")]
    return "\n".join(re.sub(r"[ \t]+", " ", line).rstrip() for line in lines).strip("\n")


def substitute(text: str, names: dict[str, str]) -> str:
    """The ids of a page replaced by those that the jobs got."""
    for name, actual in names.items():
        text = re.sub(rf"(?<![a-z0-9-]){re.escape(name)}(?![a-z0-9])", actual, text)
    return text


def match(expected: str, actual: str, names: dict[str, str]) -> str:
    """Compares; ids seen for the first time are added to ``names``.

    Args:
        expected: what the page shows; ``...`` is anything within a line, alone on a line any lines.
        actual: what came.
        names: id on the page -> id of the job.

    Returns:
        Empty if it's the same, else the difference.
    """
    wanted, got = shown(expected), shown(actual)
    new = [name for name in dict.fromkeys(_HANDLE.findall(wanted)) if name not in names]
    found = re.fullmatch(_pattern(wanted, names, new), got + "\n" if got else "")
    if found:
        names.update({name: found[f"id{index}"] for index, name in enumerate(new)})
        return ""
    lines = difflib.unified_diff(
        substitute(wanted, names).splitlines(), got.splitlines(), "on the page", "printed", lineterm=""
    )
    return "\n".join(lines)


def _pattern(wanted: str, names: dict[str, str], new: list[str]) -> str:
    seen: set[str] = set()
    parts = []
    for line in wanted.split("\n") if wanted else []:
        if line == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(_line(line, names, new, seen) + r"\n")
    return "".join(parts)


def _line(line: str, names: dict[str, str], new: list[str], seen: set[str]) -> str:
    """A line as a regular expression."""
    tokens = [re.escape(name) for name in (*names, *new)]
    ids = rf"(?<![a-z0-9-])(?:{'|'.join(tokens)})(?![a-z0-9])|" if tokens else ""
    varying = "|".join(pattern for pattern, _ in _VARYING)
    parts, at = [], 0
    for found in re.finditer(rf"{ids}\.\.\.|{varying}", line):
        parts.append(re.escape(line[at : found.start()]))
        parts.append(_piece(found[0], names, new, seen))
        at = found.end()
    return "".join((*parts, re.escape(line[at:])))


def _piece(text: str, names: dict[str, str], new: list[str], seen: set[str]) -> str:
    if text == "...":
        return ".*"
    if text in names:
        return re.escape(names[text])
    if text in new:
        group = f"id{new.index(text)}"
        if text in seen:
            return f"(?P={group})"
        seen.add(text)
        return f"(?P<{group}>{re.escape(text[:-5])}[a-z0-9]{{5}})"
    for pattern, instead in _VARYING:
        if re.fullmatch(pattern, text):
            return instead or pattern
    raise AssertionError(text)
