"""The test of the pages sees what is wrong with one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import blocks, matching
from tests.docs.blocks import ROOT, BadBlock, Block, check, commands, parse
from tests.docs.story import Failed, Story, environment


def page(text: str) -> list[Block]:
    return list(parse(text, "page.md"))


def console(*lines: str) -> Block:
    return page("```console\n" + "\n".join(lines) + "\n```\n")[0]


def obey(block: Block) -> None:
    check(block)
    if block.language == "console":
        commands(block)


def tell(folder: Path, *lines: str) -> None:
    with Story(folder) as story:
        story.tell(console(*lines))


def test_blocks_know_their_line_and_file() -> None:
    first, second = page("# Title\n\n```console\n$ true\n```\n\n- item\n\n  ```python\n  # a/b.py\n  x = 1\n  ```\n")

    assert (first.where, first.file) == ("page.md:4", None)
    assert (second.where, second.file, second.text) == ("page.md:10", "a/b.py", "# a/b.py\nx = 1\n")
    assert page("```sh\n#!/bin/sh\n# run.sh\ntrue\n```")[0].file == "run.sh"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("    xrun list\n", "indented"),
        ("```\nxrun list\n```\n", "nobody knows"),
        ("```bash\nxrun list\n```\n", "nobody knows"),
        ("```console skip\n$ xrun list\n```\n", "nobody knows"),
        ("```console run-by\n$ xrun list\n```\n", "nobody knows"),
    ],
)
def test_what_nobody_knows_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadBlock, match=r"page\.md:1: .*" + why):
        page(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("```text\nfirst\n  $ xrun list\n```", "page.md:3: a command in a text block"),
        ("```text\nxrun list\n```", "a command in a text block"),
        ("```console\nhello\n```", "begins with"),
        ("```console run-by=nowhere.py\n$ xrun list\n```", "isn't there"),
        ("```console run-by=.ci/run\n$ xrun list\n```", "xrun is not in it"),
        ("```console run-by=tests/docs/test_blocks.py::nobody\n$ true\n```", "no function nobody"),
        ("```python foreign=torchx\nimport xrun\n```", "names xrun"),
        ("```python\nx = \n```", "not python"),
        ("```toml\nx = \n```", "not toml"),
        ("```yaml\n{\n```", "not yaml"),
    ],
)
def test_rules(text: str, why: str) -> None:
    with pytest.raises(BadBlock, match=why):
        obey(page(text)[0])


def test_commands_and_their_output() -> None:
    first, second = commands(console("$ cat <<E", "> a", "> E", "a", "", "b", "$ echo $?", "0"))

    assert (first.text, first.output, first.may_fail) == ("cat <<E\na\nE", "a\n\nb", True)
    assert (second.text, second.output, second.may_fail, second.line) == ("echo $?", "0", False, 8)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("a\n...\nz", "a\nz"),
        ("a\n...\nz", "a\nb\nc\nz"),
        ("pid ... ended", "pid 17 ended"),
        ("done after 0.1 s", "done after 12.3 s"),
        ("a  12s  b", "a\t3m\tb"),
        ("at 2026-01-01T10:00:00.000+00:00", "at 2027-11-30T23:59:59.123+02:00"),
        ("", ""),
        ("100 %", "\r10 %\r\x1b[K\x1b[32m100 %\x1b[0m"),
        ("-> local://default/a-x7f2q a-x7f2q", "-> local://default/a-12345 a-12345"),
    ],
)
def test_what_varies_is_the_same(expected: str, actual: str) -> None:
    assert matching.match(expected, actual, {}) == ""


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("a", "b"),
        ("a", "a\nb"),
        ("a", ""),
        ("", "a"),
        ("exit 3", "exit 4"),
        ("local://default/a-x7f2q", "local://default/b-12345"),
        ("local://default/a-x7f2q a-x7f2q", "local://default/a-12345 a-12346"),
        ("a.c", "abc"),
    ],
)
def test_what_differs_is_shown(expected: str, actual: str) -> None:
    assert matching.match(expected, actual, {}).startswith("--- on the page")


def test_an_id_stays_the_same_job() -> None:
    names: dict[str, str] = {}

    assert matching.match("local://default/a-x7f2q", "local://default/a-12345", names) == ""
    assert names == {"a-x7f2q": "a-12345"}
    assert matching.match("a-x7f2q", "a-99999", names) != ""
    assert (
        matching.substitute("xrun wait local://default/a-x7f2q/a/0", names) == "xrun wait local://default/a-12345/a/0"
    )
    assert matching.substitute("aa-x7f2q", names) == "aa-x7f2q"


def test_a_story_keeps_variables_folders_and_exit_codes(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    tell(tmp_path / "one", "$ mkdir a && cd a && x=1", "$ pwd; echo $x", ".../a", "1", "$ (exit 3)", "$ echo $?", "3")


def test_a_story_is_told_on_a_terminal(tmp_path: Path) -> None:
    tell(tmp_path, "$ test -t 1 && test -t 2 && echo yes", "yes")


def test_a_wrong_output_is_shown_with_file_line_and_difference(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"page\.md:3: \$ echo 2\n.*\n--- on the page\n\+\+\+ printed\n(.*\n)-3\n\+2"):
        tell(tmp_path, "$ true", "$ echo 2", "3")


def test_an_exit_code_that_nobody_asks_for_fails(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="exited 4"):
        tell(tmp_path, "$ (exit 4)")


def test_a_command_that_ends_the_shell_fails(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="ended the shell"):
        tell(tmp_path, "$ exit 0")


def test_jobs_that_a_page_leaves_are_ended(tmp_path: Path) -> None:
    with Story(tmp_path) as story:
        story.tell(console("$ xrun --detach utils.sh -- 'sleep 1000'", "local://default/sh-x7f2q"))
        story.tell(console("$ xrun list", "HANDLE ...", "local://default/sh-x7f2q RUNNING ...sh ..."))
        handle = f"local://default/{story.names['sh-x7f2q']}"
    done = subprocess.run(
        [sys.executable, "-m", "xrun", "wait", handle], env=environment(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 7


def test_every_page_is_found() -> None:
    assert {"README.md", "docs/contract.md", "examples/ddp/README.md"} <= set(blocks.pages())
    assert not [name for name in blocks.pages() if "decisions" in name]
    for page, test in blocks.OWN_TESTS.items():
        assert (ROOT / page).is_file()
        assert (ROOT / test).is_file()
