"""Writes docs/errors.md from what `xrun explain` knows; ``--check`` only says whether the page is up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from xrun.cli.explanations import GROUPS, Explanation, load

PAGE = Path(__file__).resolve().parents[1] / "docs" / "errors.md"
_LANGUAGES = {"python": "python", "shell": "bash", "message": "text"}
_HEAD = """\
# Errors

<!-- Written by scripts/errors_page.py from xrun/cli/explanations.toml; change that file, not this page. -->

Every error that xrun means to give has a code, which stands in its line:

```text
xrun: [XR071] unknown component 'utils.ehco'; did you mean utils.echo or utils.copy or utils.sh?
```

`xrun explain XR071` prints what this page says of it. A code keeps its meaning for ever, so a script or a note may
refer to it. In Python it is the attribute `code` of an `XrunError`; an `InvalidJob` has all problems of a job at once,
in `problems`, each with its own.

The exit code tells a script what kind of end it was:

| exit code | |
|---|---|
| 0 | it worked; for a job that was waited for: it succeeded |
| 1 | the job failed, or the answer can't be written |
| 2 | what was asked for makes no sense as written |
| 3 | the job is wrong, or not for this scheduler |
| 4 | the system behind the scheduler refused |
| 5 | there is no such job |
| 6 | the time to wait is up |
| 7 | the job was cancelled |
| 8 | the system can't be reached; try again |
| 70 | a bug of xrun's: please report the traceback |
| 130, 143 | interrupted by Ctrl-C, by SIGTERM |
"""


def page(entries: list[Explanation]) -> str:
    """The whole page."""
    parts = [_HEAD]
    for first, last, about in GROUPS:
        group = [entry for entry in entries if first <= int(entry.code[2:]) <= last]
        rows = [f"| [{e.code}](#{e.code.lower()}) | {e.exit} | {e.title} |" for e in group]
        parts.append("\n".join([f"## {about}", "", "| code | exit | what it means |", "|---|---|---|", *rows, ""]))
        parts += map(_section, group)
    return "\n".join(parts)


def _section(entry: Explanation) -> str:
    """One code; the heading is the code alone, so that its anchor stays when the title is written anew."""
    language = _LANGUAGES[entry.kind]
    exits = f"Exit code {entry.exit}." if entry.exit else "A warning: the job runs."
    parts = [f"### {entry.code}", f"**{entry.title}.** {exits}", entry.cause]
    if entry.kind == "message":
        parts += ["The message as it was seen:", _fenced(entry.example, language)]
    else:
        where = f", on a scheduler without `{entry.lacks}`" if entry.lacks else ""
        parts += [f"Example{where}:", _fenced(entry.example, language)]
        parts += ["What xrun says then:", _fenced(entry.says, "text")]
    parts += ["**What to do.** " + entry.fix if not entry.fix.startswith("- ") else f"**What to do.**\n\n{entry.fix}"]
    if entry.mended:
        parts += ["Mended:", _fenced(entry.mended, language)]
    return "\n\n".join(parts) + "\n"


def _fenced(text: str, language: str) -> str:
    return f"```{language}\n{text}\n```"


def main() -> int:
    """Writes the page, or compares it."""
    text = page(list(load().values()))
    if "--check" in sys.argv[1:]:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
