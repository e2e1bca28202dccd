"""xrun.toml: which files apply, what wins, and how an entry that is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrun.components import find
from xrun.errors import InvalidConfig, UnknownName
from xrun.runner import config, get_runner
from xrun.runner.config.files import line_of
from xrun.schedulers import create_scheduler
from xrun.specs import AppDef, Role

from .conftest import Write


def options(session: str = "default") -> dict[str, object]:
    return config.load().scheduler_options("local", create_scheduler("local", session).run_opts(), session)


def grace(value: int) -> str:
    return f"[schedulers.local]\ngrace_period = {value}\n"


def test_nothing_is_needed(project: Path) -> None:
    assert config.load().files == ()
    assert config.load().check() == []
    assert options() == {}


def test_the_nearer_file_wins_entry_by_entry(project: Path, write: Write, tmp_path: Path) -> None:
    user = tmp_path / "config" / "xrun"
    user.mkdir(parents=True)
    (user / "xrun.toml").write_text(grace(1) + "max_runtime = 1\ngpus = 1\n")
    assert options() == {"grace_period": 1.0, "max_runtime": 1.0, "gpus": 1}
    (project.parent / "pyproject.toml").write_text("[tool.xrun.schedulers.local]\ngrace_period = 2\nmax_runtime = 2\n")
    assert options() == {"grace_period": 2.0, "max_runtime": 2.0, "gpus": 1}
    (project.parent / "xrun.toml").write_text(grace(3))
    assert options() == {"grace_period": 3.0, "max_runtime": 2.0, "gpus": 1}
    write(grace(4))
    assert options() == {"grace_period": 4.0, "max_runtime": 2.0, "gpus": 1}
    assert len(config.load().files) == 4


def test_a_variable_names_the_one_file(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(grace(4))
    (tmp_path / "other.toml").write_text(grace(5))
    monkeypatch.setenv("XRUN_CONFIG", str(tmp_path / "other.toml"))
    assert options() == {"grace_period": 5.0}
    monkeypatch.setenv("XRUN_CONFIG", "")
    assert options() == {}
    monkeypatch.setenv("XRUN_CONFIG", "nowhere.toml")
    with pytest.raises(InvalidConfig, match="nowhere.toml: XRUN_CONFIG names it") as error:
        config.load()
    assert error.value.code == "XR065"


def test_somebody_elses_pyproject_is_left_alone(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.other\nbroken")
    assert config.load().files == ()
    (project / "pyproject.toml").write_text("[project]\ndependencies = ['xrun']\n")
    assert config.load().files == ()


def test_a_profile_lies_over_the_rest(write: Write, project: Path) -> None:
    (project.parent / "xrun.toml").write_text("[profiles.prod.schedulers.local]\ngrace_period = 1\n")
    write(grace(4) + "gpus = 1\n[profiles.prod.schedulers.local]\nmax_runtime = 9\n")
    assert options("prod") == {"grace_period": 1.0, "max_runtime": 9.0, "gpus": 1}
    assert options() == {"grace_period": 4.0, "gpus": 1}
    assert options("of-somebody-else") == options()
    assert config.load().profiles == ["prod"]


def test_precedence(write: Write, monkeypatch: pytest.MonkeyPatch, xrun_home: Path) -> None:
    write('[run]\nscheduler = "memory"\n[schedulers.memory]\ngrace_period = 1\nmax_runtime = 1\nimage = "file"\n')
    monkeypatch.setenv("XRUN_CFG", "grace_period=2,max_runtime=2")
    app = AppDef("a", [Role("r", entrypoint="true")])
    with get_runner() as runner:
        info = runner.dryrun(app, cfg={"grace_period": 3})
        assert info.scheduler == "memory"
        assert (info.options.grace_period, info.options.max_runtime, info.options.image) == (3.0, 2.0, "file")
        assert runner.dryrun(app, "local").options.grace_period == 2.0
    monkeypatch.setenv("XRUN_SCHEDULER", "local")
    with get_runner() as runner:
        assert runner.dryrun(app).scheduler == "local"


def test_a_scheduler_that_there_is_not_has_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRUN_SCHEDULER", "locla")
    with get_runner() as runner, pytest.raises(UnknownName) as refused:
        runner.dryrun(AppDef("x", [Role("main", entrypoint="true")]))
    assert str(refused.value) == "unknown scheduler 'locla'; did you mean local?; XRUN_SCHEDULER names it"


def test_the_profile_is_the_session(write: Write, monkeypatch: pytest.MonkeyPatch, xrun_home: Path) -> None:
    write('[run]\nprofile = "a"\n[profiles.a.run]\nscheduler = "memory"\n[profiles.b.run]\nscheduler = "local"\n')
    with get_runner() as runner:
        assert (runner.defaults.session, runner.defaults.scheduler) == ("a", "memory")
    monkeypatch.setenv("XRUN_PROFILE", "b")
    app = AppDef("a", [Role("r", entrypoint="true")])
    with get_runner() as runner:
        handle = runner.run(app)
        assert handle.startswith("local://b/")
        assert runner.wait(handle, timeout=30) is not None
        assert [row.handle for row in runner.list()] == [handle]
    monkeypatch.setenv("XRUN_PROFILE", "c")
    with get_runner() as runner, pytest.raises(InvalidConfig, match=r"no profile 'c'.*add \[profiles.c\]") as error:
        runner.dryrun(app)
    assert error.value.code == "XR064"


def test_defaults_of_components(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "world")
    write(
        '[components."utils.sh"]\nargs = ["echo", {env = "WHO"}]\nmax-retries = 2\nmemMB = "64"\n'
        'env = {A = "1", B = {env = "WHO"}, C = {env = "UNSET", default = "c"}}\n'
    )
    with get_runner() as runner:
        role = runner.build_component("utils.sh", []).roles[0]
        assert (role.max_retries, role.resource.memMB) == (2, 64)
        assert role.env == {"A": "1", "B": "world", "C": "c"}
        assert "world" in role.args[-1]
        assert runner.build_component("utils.sh", ["--max-retries", "3", "true"]).roles[0].max_retries == 3


def test_a_component_in_a_file_is_found_from_below(
    write: Write, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "jobs.py").write_text(
        "from xrun.specs import AppDef, Role\n"
        "def job(n: int) -> AppDef:\n"
        '    """A job."""\n'
        '    return AppDef("a", [Role("r", entrypoint="true", num_replicas=n)])\n'
    )
    write('[run]\ncomponent = "jobs.py:job"\nworkspace = "."\n[components."jobs.py:job"]\nn = 3\n')
    for folder in (project, project / "below"):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        with get_runner() as runner:
            assert runner.defaults.component is not None
            assert runner.build_component(runner.defaults.component, []).roles[0].num_replicas == 3
            assert Path(runner.defaults.workspace or "nowhere").resolve() == project
    monkeypatch.setenv("XRUN_WORKSPACE", "")
    with get_runner() as runner:
        assert runner.defaults.workspace == ""


WRONG = [
    ("[run]\nschedular = 'local'", "xrun.toml:2: unknown entry 'schedular' in [run]; did you mean scheduler?", "XR061"),
    ("[run]\n\n# why\nscheduler = 3", "xrun.toml:4: scheduler is 3, not str", "XR062"),
    ("run = 3", "xrun.toml:1: run must be a table, as in [run]", "XR062"),
    ("[rnu]", "xrun.toml:1: unknown table 'rnu'; did you mean run?", "XR061"),
    ("\n[schedulers.locl]", "xrun.toml:2: unknown scheduler 'locl'; did you mean local or local_cwd?", "XR061"),
    ("schedulers.local = 3", "xrun.toml:1: schedulers.local is 3, it must be a table", "XR062"),
    ("schedulers = []", "xrun.toml:1: schedulers must hold tables, as in [schedulers.NAME]", "XR062"),
    ("[run]\nscheduler = 'lcoal'", "xrun.toml:2: unknown scheduler 'lcoal'; did you mean local", "XR061"),
    ("[components.utils.echo]", 'xrun.toml:1: the dots of a name need quotes: [components."utils.echo"]', "XR061"),
    ("[components.'utils.ehco']", "xrun.toml:1: unknown component 'utils.ehco'; did you mean utils.", "XR061"),
    (
        "[profiles.default]",
        "xrun.toml:1: the profile default is what stands outside of profiles; put it there",
        "XR061",
    ),
    ("[profiles.'a b']", "xrun.toml:1: 'a b' can't be a profile's name", "XR061"),
    ("[profiles.a.run]\nprofile = 'b'", "xrun.toml:2: a profile can't name another", "XR061"),
    ("[profiles.a.named_resources.x]", "xrun.toml:1: unknown table 'named_resources' in [profiles.a]", "XR061"),
    ("a = \n", "xrun.toml:1: not TOML: Invalid value", "XR060"),
    ("[run]\na = '''\n\n", "xrun.toml:", "XR060"),
    ("[run]\nscheduler = 'a'\nscheduler = 'b'", "xrun.toml:3: not TOML: Cannot overwrite a value", "XR060"),
    ("a = " + "[" * 5000, "xrun.toml:", "XR060"),
]

WRONG_WHEN_USED = [
    ("[schedulers.local]\ngrace_perid = 3", "xrun.toml:2: local has no option 'grace_perid'; did you mean", "XR061"),
    ("[schedulers.local]\ngrace_period = 'x'", "xrun.toml:2: grace_period: 'x' is not a number", "XR062"),
    ("[schedulers.local]\ngrace_period = [1]", "xrun.toml:2: grace_period is [1], not float", "XR062"),
    ("[schedulers.local]\ngrace_period = nan", "xrun.toml:2: grace_period: nan is not a number of seconds", "XR062"),
    ("[schedulers.local]\ngpus = 2026-01-01", "xrun.toml:2: gpus is datetime.date(2026, 1, 1), not int", "XR062"),
    ("[schedulers.local]\ngpus = {env = 'NO_SUCH'}", "xrun.toml:2: gpus: the environment variable NO_SUCH", "XR063"),
    ("[components.'utils.echo']\nmgs = 'a'", "xrun.toml:2: utils.echo has no option 'mgs'; did you mean msg?", "XR061"),
    ("[components.'utils.echo']\nnum_replicas = 1.5", "xrun.toml:2: num_replicas is 1.5, not int", "XR062"),
    ("[named_resources.box]\ncpus = 1", "xrun.toml:2: named_resources.box has no field 'cpus'; did you mean", "XR061"),
    ("[named_resources.box]\ncpu = 'x'", "xrun.toml:2: named_resources.box.cpu is a string ('x'), it must be", "XR062"),
]


@pytest.mark.parametrize(("text", "message", "code"), WRONG)
def test_a_wrong_table_is_an_error_with_file_and_line(write: Write, text: str, message: str, code: str) -> None:
    write(text)
    with pytest.raises(InvalidConfig) as error:
        config.load()
    assert str(error.value).startswith(message)
    assert error.value.code == code


@pytest.mark.parametrize(("text", "message", "code"), WRONG_WHEN_USED)
def test_a_wrong_entry_is_an_error_where_it_is_used(write: Write, text: str, message: str, code: str) -> None:
    write(text)
    found = config.load()
    with pytest.raises(InvalidConfig) as error:  # noqa: PT012 - one of the three complains
        options()
        found.component_defaults(find("utils.echo"))
        found.named_resources()
    assert str(error.value).startswith(message)
    assert error.value.code == code
    assert [str(problem) for problem in found.check()] == [str(error.value)]


def test_check_finds_everything_at_once(write: Write) -> None:
    texts = [text for text, _, _ in WRONG_WHEN_USED]
    write("\n".join([texts[0], "gpus = 'x'", texts[6], texts[8], "[profiles.p.schedulers.memory]\ngpus = 1"]))
    assert [str(problem).partition(": ")[0] for problem in config.load().check()] == [
        f"xrun.toml:{line}" for line in (2, 3, 5, 9, 7)
    ]


def test_a_reference_need_not_be_set_where_it_is_not_used(write: Write, xrun_home: Path) -> None:
    write("[run]\nscheduler = {env = 'NO_SUCH'}\n[schedulers.memory]\nimage = {env = 'NO_SUCH'}\n")
    with get_runner() as runner:
        app = AppDef("a", [Role("r", entrypoint="true")])
        assert runner.dryrun(app, "local").scheduler == "local"
        with pytest.raises(InvalidConfig, match="xrun.toml:2: scheduler: the environment variable NO_SUCH is not set"):
            runner.dryrun(app)


def test_a_file_that_cant_be_read(write: Write, project: Path) -> None:
    write("").write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(InvalidConfig, match="xrun.toml:2: not TOML: it is not UTF-8"):
        config.load()
    (project / "xrun.toml").unlink()
    (project / "xrun.toml").mkdir()
    with pytest.raises(InvalidConfig, match=r"^xrun.toml: is no regular file"):
        config.load()
    (project / "xrun.toml").rmdir()
    (project / "xrun.toml").symlink_to("nowhere")
    with pytest.raises(InvalidConfig, match=r"^xrun.toml: is no regular file"):
        config.load()


def test_a_mark_at_the_beginning_is_no_part_of_it(write: Write) -> None:
    write("").write_bytes(b"\xef\xbb\xbf[schedulers.local]\ngrace_period = 5\n")
    assert options() == {"grace_period": 5.0}


LINES = """\
# first
a.b = 1

[t]
x = [
  1,
  2,
]
"y z" = '''
x = 3
'''
[t.u] ; [t.v]
""".replace("; [t.v]", "")


@pytest.mark.parametrize(
    ("at", "line"), [(["a"], 2), (["a", "b"], 2), (["t"], 4), (["t", "x"], 5), (["t", "y z"], 9), (["t", "u"], 12)]
)
def test_line_of(at: list[str], line: int) -> None:
    assert line_of(LINES, at) == line
    assert line_of(LINES.replace("\n", "\r\n"), at) == line


@given(st.lists(st.sampled_from(["# c", "", "m = '''\n\n'''", "l = [\n1,\n\n2]", "[t{n}]", "k{n} = 1"]), max_size=30))
def test_line_of_is_where_a_statement_begins(parts: list[str]) -> None:
    lines: list[str] = []
    expected: dict[str, int] = {}
    for n, part in enumerate(parts):
        if "{n}" in part:
            expected[part.format(n=n).strip("[]").partition(" ")[0]] = len(lines) + 1
            lines.append(part.format(n=n))
        elif part.startswith(("m", "l")):
            lines += f"x{n}_{part}".split("\n")
        else:
            lines.append(part)
    text = "\n".join(lines) + "\nlast = 1\n"
    table = ""
    for n, part in enumerate(parts):
        name = part.format(n=n).strip("[]").partition(" ")[0]
        if part.startswith("[t"):
            table = name
            assert line_of(text, [name]) == expected[name]
        elif part.startswith("k"):
            assert line_of(text, [table, name] if table else [name]) == expected[name]
