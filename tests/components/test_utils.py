from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrun.components import utils
from xrun.errors import InvalidValue, UnknownName
from xrun.specs.app import AppDef
from xrun.specs.mounts import BindMount, VolumeMount
from xrun.specs.role import SCRIPT
from xrun.specs.validation import validate

WORDS = st.lists(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])), max_size=5)
SHELLS = [path for name in ("dash", "bash", "busybox") if (path := shutil.which(name))]


def run(app: AppDef, shell: str | None = None) -> subprocess.CompletedProcess[bytes]:
    role = app.roles[0]
    program = [role.entrypoint] if shell is None else [shell, *(["sh"] if shell.endswith("busybox") else [])]
    return subprocess.run([*program, *role.args], capture_output=True, timeout=20)


@pytest.mark.parametrize(
    "app",
    [
        utils.echo(),
        utils.touch("x"),
        utils.sh("true"),
        utils.python(c="1"),
        utils.binary(entrypoint="true"),
        utils.copy("a", "b"),
    ],
    ids=lambda app: app.name,
)
def test_is_a_valid_job(app: AppDef) -> None:
    assert validate(app) == []
    assert app.roles[0].image == ""


def test_echo() -> None:
    app = utils.echo("a  b", num_replicas=3)
    assert (app.roles[0].num_replicas, run(app).stdout) == (3, b"a  b\n")


def test_sh_one_word_is_a_shell_text() -> None:
    assert run(utils.sh("echo hi | tr h j && exit 3")).stdout == b"ji\n"
    assert run(utils.sh("echo hi; exit 3")).returncode == 3


@pytest.mark.parametrize("shell", SHELLS)
def test_sh_several_words_are_one_command_and_may_be_a_builtin(shell: str) -> None:
    assert run(utils.sh("exit", "3"), shell).returncode == 3
    assert run(utils.sh("echo", "a", "&&", "$HOME"), shell).stdout == b"a && $HOME\n"


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=25, deadline=None)
@given(words=WORDS)
def test_sh_words_arrive_byte_for_byte(shell: str, words: list[str]) -> None:
    done = run(utils.sh("printf", r"%s\0", "first", *words), shell)
    assert done.stdout.decode().split("\0")[1:-1] == words


def test_sh_without_words() -> None:
    with pytest.raises(InvalidValue, match="nothing to run"):
        utils.sh()


def test_sh_entrypoint_gets_the_words() -> None:
    role = utils.sh("a b", "c", entrypoint="/bin/echo").roles[0]
    assert (role.entrypoint, role.args) == ("/bin/echo", ["a b", "c"])


def test_common_options_reach_the_role() -> None:
    env = {"A": "1"}
    role = utils.sh(
        "true",
        image="i",
        num_replicas=2,
        cpu=3,
        gpu=1,
        memMB=5,
        env=env,
        max_retries=4,
        mounts=["type=bind", "src=/a", "dst=/b", "readonly", "type=volume", "src=v", "dst=/c"],
    ).roles[0]
    assert (role.image, role.num_replicas, role.max_retries, role.env) == ("i", 2, 4, {"A": "1"})
    assert (role.resource.cpu, role.resource.gpu, role.resource.memMB) == (3, 1, 5)
    assert role.mounts == [BindMount("/a", "/b", read_only=True), VolumeMount("v", "/c")]
    role.env["B"] = "2"
    assert env == {"A": "1"}


def test_named_resource_wins() -> None:
    assert utils.sh("true", cpu=99, h="gpu.small").roles[0].resource.gpu == 1
    with pytest.raises(UnknownName, match=r"gpu\.small"):
        utils.binary(entrypoint="true", h="gpu.smal")


def test_python_programs() -> None:
    assert utils.python("-x", "y", m="a.b").roles[0].args == ["-m", "a.b", "-x", "y"]
    assert utils.python("a", c="print(1)").roles[0].args == ["-c", "print(1)", "a"]
    script = utils.python("--lr", "1", script="t.py").roles[0]
    assert (script.args, script.metadata) == (["t.py", "--lr", "1"], {SCRIPT: "t.py"})


def test_python_runs_exactly_one_program() -> None:
    with pytest.raises(InvalidValue, match="exactly one of m, c and script is needed, not none"):
        utils.python()
    with pytest.raises(InvalidValue, match=r"not m and script; m is empty; script is empty"):
        utils.python(m="", script="")


def test_binary_is_run_as_it_is() -> None:
    role = utils.binary("a b", "$c", entrypoint="/bin/x").roles[0]
    assert (role.entrypoint, role.args) == ("/bin/x", ["a b", "$c"])


def test_copy_runs_the_program() -> None:
    role = utils.copy("s3://a b", "/c").roles[0]
    assert [role.entrypoint, *role.args] == ["python", "-m", "xrun.apps.copy", "s3://a b", "/c"]
