"""The code blocks of a page, what is done with each, and the rules that they keep."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]

RUN_BY, FOREIGN = "run-by", "foreign"
MARKS = {RUN_BY, FOREIGN}
LANGUAGES = {"console", "python", "toml", "yaml", "sh", "make", "ini", "text"}

OWN_TESTS = {
    "docs/docker.md": "tests/schedulers/docker/test_page.py",
    "docs/errors.md": "tests/cli/test_explanations.py",
    "docs/slurm.md": "tests/schedulers/slurm/test_page.py",
    "docs/kubernetes.md": "tests/schedulers/kubernetes/test_page.py",
    "docs/write-a-scheduler.md": "tests/examples/test_tsp_page.py",
}
"""Pages with a test of their own: their blocks follow from a source, are parts of one file, or need a system."""

_FILE = re.compile(r"# ([\w./-]+\.\w+|\.torchxconfig|Makefile)$")
_LOOKS_RUN = re.compile(r"\s*(\$ |xrun |python3? |pip |pytest |scripts/|sbatch |torchx )")


class BadBlock(Exception):
    """A block that breaks a rule."""


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: its page, from the project's root.
        line: of its first line in the page.
        language: first word of the fence's info string.
        marks: the others, ``name=value``.
        text: what is in it.
    """

    page: str
    line: int
    language: str
    marks: dict[str, str]
    text: str

    @property
    def file(self) -> str | None:
        """The file that a comment on the first line (or the one after ``#!``) names."""
        lines = self.text.splitlines()
        named = lines[1] if len(lines) > 1 and lines[0].startswith("#!") else lines[0] if lines else ""
        match = _FILE.fullmatch(named)
        return match[1] if match else None

    @property
    def where(self) -> str:
        """File and line, as a terminal makes a link of it."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command of a console block with the output below it.

    Attributes:
        line: in the page.
        text: what is typed, without the prompts.
        output: the lines up to the next command.
        may_fail: the command after it reads ``$?``.
    """

    line: int
    text: str
    output: str
    may_fail: bool


def pages() -> list[str]:
    """Every page that is a story: records of decisions quote what was, so they are not among them."""
    found = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*/README.md")]
    return sorted({str(path.relative_to(ROOT)) for path in found} - OWN_TESTS.keys())


def read(page: str) -> list[Block]:
    """The blocks of a page in order."""
    return list(parse((ROOT / page).read_text(), page))


def parse(text: str, page: str) -> Iterator[Block]:
    """The blocks of a Markdown text in order.

    Raises:
        BadBlock: one is indented instead of fenced, or is of a language or mark that nobody knows.
    """
    for token in MarkdownIt().parse(text):
        line = token.map[0] + 2 if token.map else 0
        if token.type == "code_block":
            raise BadBlock(f"{page}:{line - 1}: an indented block; put it between ``` and name its language")
        if token.type != "fence" or token.info.startswith("{toctree}"):
            continue
        language, *words = token.info.split() or [""]
        marks = dict(word.partition("=")[::2] for word in words)
        if language not in LANGUAGES or not marks.keys() <= MARKS or not all(marks.values()):
            raise BadBlock(f"{page}:{line - 1}: nobody knows what to do with ```{token.info}")
        yield Block(page, line, language, marks, token.content)


def commands(block: Block) -> list[Command]:
    """The commands of a console block; ``> `` goes on with the line before.

    Raises:
        BadBlock: it begins with output.
    """
    found: list[tuple[int, list[str], list[str]]] = []
    for number, line in enumerate(block.text.splitlines(), block.line):
        if line.startswith("$ "):
            found.append((number, [line[2:]], []))
        elif not found:
            raise BadBlock(f"{block.page}:{number}: a console block begins with `$ `")
        elif line.startswith("> ") and not found[-1][2]:
            found[-1][1].append(line[2:])
        else:
            found[-1][2].append(line)
    following = [words for _, words, _ in found[1:]] + [[""]]
    return [
        Command(number, "\n".join(words), "\n".join(output), "$?" in after[0])
        for (number, words, output), after in zip(found, following, strict=True)
    ]


def check(block: Block) -> None:
    """What can be said of a block without running it.

    Raises:
        BadBlock: a text block holds a command, a mark says what isn't so, or the text is not of its language.
    """
    if block.language == "text":
        for number, line in enumerate(block.text.splitlines(), block.line):
            if _LOOKS_RUN.match(line):
                raise BadBlock(f"{block.page}:{number}: a command in a text block is run by nobody; make it console")
    if RUN_BY in block.marks:
        _check_claim(block)
    if FOREIGN in block.marks and re.search(r"\bxrun\b", block.text):
        raise BadBlock(f"{block.where}: marked as {block.marks[FOREIGN]}'s, but it names xrun")
    if problem := _syntax(block):
        raise BadBlock(f"{block.where}: not {block.language}: {problem}")


def _check_claim(block: Block) -> None:
    """``run-by=FILE`` or ``run-by=FILE::FUNCTION``: every word of the commands must occur there."""
    file, _, function = block.marks[RUN_BY].partition("::")
    path = ROOT / file
    if not path.is_file():
        raise BadBlock(f"{block.where}: run-by names {file}, which isn't there")
    source = path.read_text()
    if function:
        nodes = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == function]
        if not nodes:
            raise BadBlock(f"{block.where}: {file} has no function {function}")
        source = ast.get_source_segment(source, nodes[0]) or ""
    typed = [command.text for command in commands(block)] if block.language == "console" else []
    for word in " ".join(line.partition(" # ")[0] for line in typed).split():
        if word not in source:
            raise BadBlock(f"{block.where}: {block.marks[RUN_BY]} is said to run this, but {word} is not in it")


def _syntax(block: Block) -> str:
    try:
        if block.language == "python":
            ast.parse(block.text)
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "yaml":
            yaml.safe_load(block.text)
    except (SyntaxError, tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        return str(error)
    return ""
