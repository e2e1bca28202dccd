"""configure, and the command line under a configuration."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from .conftest import xrun

TORCHX = """\
[cli:run]
component = dist.ddp
scheduler = local_cwd
workspace = file://.
dryrun = True
[local_cwd]
log_dir = /tmp/x
grace_period = 3
[slurm]
partition = gpu
[aws_batch]
queue = gpu
[component:dist.ddp]
j = 1x2
env = A:1;B:x=y
mounts = type=bind;src=/a;dst=/b
memMB = many
image = None
[component:none.such]
a = 100%
[torchx:tracker]
fs =
"""


def test_it_writes_a_file_and_never_overwrites(tmp_path: Path) -> None:
    done = xrun("configure", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "xrun.toml\n")
    text = (tmp_path / "xrun.toml").read_text()
    assert "# grace_period = 30.0  # seconds between SIGTERM and SIGKILL" in text
    assert xrun("utils.echo", "--msg", "hi", cwd=tmp_path).stdout == "hi\n"
    again = xrun("configure", "-s", "memory", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (2, "")
    assert "[XR066] xrun.toml is there already and stays as it is" in again.stderr
    assert (tmp_path / "xrun.toml").read_text() == text
    printed = xrun("configure", "-s", "local,memory", "--print", cwd=tmp_path)
    assert "[schedulers.memory]" in printed.stdout


def test_the_users_file(tmp_path: Path) -> None:
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    done = xrun("configure", "--user", cwd=tmp_path, env=env)
    assert done.stdout == f"{tmp_path}/config/xrun/xrun.toml\n"
    (tmp_path / "config/xrun/xrun.toml").write_text("[components.'utils.echo']\nmsg = 'mine'\n")
    assert xrun("utils.echo", cwd=tmp_path, env=env).stdout == "mine\n"


def test_from_torchx(tmp_path: Path) -> None:
    (tmp_path / ".torchxconfig").write_text(TORCHX)
    text = xrun("configure", "--from-torchx", ".torchxconfig", "--print", cwd=tmp_path).stdout
    assert tomllib.loads(text) == {
        "run": {"component": "dist.ddp", "scheduler": "local", "workspace": "."},
        "schedulers": {"local": {"grace_period": 3.0}, "slurm": {"partition": "gpu"}},
        "components": {
            "dist.ddp": {"j": "1x2", "env": {"A": "1", "B": "x=y"}, "mounts": ["type=bind", "src=/a", "dst=/b"]}
        },
    }
    for line in (
        '# dryrun = "True"  # give --dryrun on the command line',
        '# log_dir = "/tmp/x"  # no such option here',
        "# [schedulers.aws_batch]  # this xrun has no scheduler aws_batch",
        "# memMB = \"many\"  # 'many' is not a whole number",
        '# a = "100%"',
        "# [torchx:tracker]  # xrun has no such table",
    ):
        assert line in text.splitlines()
    schema = json.loads(xrun("configure", "--schema").stdout)
    jsonschema.validate(tomllib.loads(text), schema)
    assert xrun("configure", "--from-torchx", ".torchxconfig", cwd=tmp_path).returncode == 0
    assert "XR044" in xrun("render", "--", "-m", "x", cwd=tmp_path).stderr, "the mounts were read"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-s", "slrm"], "unknown scheduler 'slrm'"),
        (["--from-torchx", "nope"], "nope: can't be read"),
        (["--from-torchx", "odd"], "odd: not a .torchxconfig"),
        (["--from-torchx", "odd", "-s", "local"], "leave -s out"),
        (["--schema", "--print"], "--schema goes with no other option"),
    ],
)
def test_what_it_refuses(tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "odd").write_bytes(b"no section\n\xff")
    done = xrun("configure", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "xrun.toml").exists()


def test_a_folder_that_cant_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = xrun("configure", "--user", env={"XDG_CONFIG_HOME": str(tmp_path / "file")})
    assert done.returncode == 2
    assert "can't be made" in done.stderr


def test_the_component_may_come_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "xrun.toml").write_text('[run]\ncomponent = "utils.sh"\nscheduler = "memory"\n')
    assert xrun("run", "--", "echo configured", cwd=tmp_path).stdout == "configured\n"
    assert xrun("--", "echo", "bare", cwd=tmp_path).stdout == "bare\n"
    assert xrun("-cfg", "image=x", "--", "echo", "--", "-s", cwd=tmp_path).stdout == "-- -s\n"
    assert xrun("utils.echo", "--msg", "given", cwd=tmp_path).stderr.startswith("xrun: memory://default/")
    done = xrun("run", cwd=tmp_path)
    assert done.returncode == 2
    assert "nothing to run" in done.stderr


def test_a_wrong_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "xrun.toml").write_text("[run]\nschedulr = 'local'\n")
    for words in (["utils.echo"], ["render", "utils.echo"], ["run", "--profile", "x", "utils.echo"]):
        done = xrun(*words, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            "xrun: [XR061] xrun.toml:2: unknown entry 'schedulr' in [run]; did you mean scheduler?\n"
        )


def test_options_before_a_verb_are_explained() -> None:
    done = xrun("-s", "memory", "list")
    assert done.returncode == 2
    assert "xrun list ..." in done.stderr
