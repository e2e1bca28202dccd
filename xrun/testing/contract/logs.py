"""What replicas wrote, and how it is read."""

from __future__ import annotations

import pytest

from xrun.errors import UnknownName, UsageError
from xrun.runner import Runner
from xrun.schedulers.api import Stream
from xrun.schedulers.logs import LogChunk, LogQuery
from xrun.specs.app import AppDef
from xrun.specs.states import AppState, is_terminal
from xrun.testing.contract.base import UNTIL_STOPPED, ContractBase, Job

_TALK = """
me=$XRUN_REPLICA_ID
echo "out 1 of $me"; sleep 0.4; echo "err 2 of $me" >&2; sleep 0.4; echo "out 3 of $me"; sleep 0.4
echo "err 4 of $me" >&2; sleep 0.4
"""
_TALKED = ["out 1 of {}\n", "err 2 of {}\n", "out 3 of {}\n", "err 4 of {}\n"]

_ODD_BYTES = r"""
printf 'bytes \377\376 \303 end\n'
printf 'a\rb\r\nc\013d\014e\034f\302\205g\342\200\250h\n'
printf '\n'
printf '\033[31mred\033[0m\n'
printf 'no newline'
"""
_ODD_LINES = [
    b"bytes \xff\xfe \xc3 end\n",
    b"a\rb\r\n",
    b"c\x0bd\x0ce\x1cf\xc2\x85g\xe2\x80\xa8h\n",
    b"\n",
    b"\x1b[31mred\x1b[0m\n",
    b"no newline",
]

_LINE = "0123456789" * 5
_MANY = 100_000
_MUCH = f"yes {_LINE} | head -n {_MANY}"
_LONG = 1_000_000
_LONG_LINE = f"head -c {_LONG} /dev/zero | tr '\\0' x; echo; echo after"


class LogCases(ContractBase):
    """Complete, in order, byte for byte, and readable while the job runs as after its end."""

    def talkers(self) -> AppDef:
        """Two replicas that write to both streams in turn."""
        return self.app(self.role(_TALK, num_replicas=2))

    def talked(self, runner: Runner) -> Job:
        """The talkers after their end."""
        job = self.run_once(runner, self.talkers)
        assert job is not None
        job.ends(AppState.SUCCEEDED)
        return job

    # --- which ----------------------------------------------------------------------------------------------------

    def test_each_replica_has_its_own_log_in_order_of_arrival(self, runner: Runner) -> None:
        job = self.talked(runner)
        for k in range(2):
            assert job.lines(k=k) == [line.format(k) for line in _TALKED]

    @pytest.mark.parametrize("stream", list(Stream))
    def test_a_stream_is_selected_or_the_selection_refused(self, runner: Runner, stream: Stream) -> None:
        """A stream can be selected."""
        job = self.talked(runner)
        if stream.value in self.capabilities().streams:
            word = {Stream.STDOUT: "out", Stream.STDERR: "err"}.get(stream, "")
            assert job.lines(streams=stream) == [line.format(0) for line in _TALKED if line.startswith(word)]
        else:
            self.not_declared()
            with pytest.raises(UsageError) as refusal:
                job.lines(streams=stream)
            assert refusal.value.exit_code == 2

    def test_all_replicas_at_once_are_the_same_on_every_reading(self, runner: Runner) -> None:
        job = self.talked(runner)
        first, second = (_texts(runner, job) for _ in range(2))
        assert first == second
        for k in range(2):
            assert first["main", k] == "".join(line.format(k) for line in _TALKED)

    def test_some_replicas(self, runner: Runner) -> None:
        """Some replicas can be selected."""
        job = self.talked(runner)
        assert set(_texts(runner, job, LogQuery("main", (1,)))) == {("main", 1)}
        assert set(_texts(runner, job, LogQuery("main"))) == {("main", 0), ("main", 1)}

    def test_chunks_come_in_order_of_time(self, runner: Runner) -> None:
        chunks = list(runner.logs(self.talked(runner).handle, LogQuery()))
        assert [c.time for c in chunks] == sorted(c.time for c in chunks)

    def test_an_unknown_role_or_replica_is_named(self, runner: Runner) -> None:
        job = self.talked(runner)
        with pytest.raises(UnknownName, match="mane.*main"):
            job.lines("mane")
        with pytest.raises(UsageError, match="7"):
            job.lines("main", 7)

    # --- which part -----------------------------------------------------------------------------------------------

    def test_regex(self, runner: Runner) -> None:
        """Lines can be selected by a pattern."""
        assert self.talked(runner).lines(regex="^out [0-9]|4") == ["out 1 of 0\n", "out 3 of 0\n", "err 4 of 0\n"]

    def test_tail(self, runner: Runner) -> None:
        """The last lines can be selected."""
        job = self.talked(runner)
        for count in (0, 1, 2, 100):
            found = _texts(runner, job, LogQuery(tail=count))
            for k in range(2):
                wanted = [line.format(k) for line in _TALKED][-count or len(_TALKED) :]
                assert found.get(("main", k), "") == "".join(wanted)

    def test_since_and_until(self, runner: Runner) -> None:
        """Lines can be selected by time."""
        job = self.talked(runner)
        times = [_time_of(runner, job, f"{line.format(0)}".encode()) for line in _TALKED]
        middle = (times[1] + times[2]) / 2
        lines = [line.format(0) for line in _TALKED]
        assert job.lines(until=middle) == lines[:2]
        assert job.lines(since=middle) == lines[2:]
        assert job.lines(since=(times[0] + times[1]) / 2, until=middle) == lines[1:2]
        assert job.lines(since=times[3] + 60) == []

    # --- follow ---------------------------------------------------------------------------------------------------

    def test_follow_gives_lines_as_they_come_and_ends_with_the_job(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role(UNTIL_STOPPED.replace("exit 0", "echo last; exit 0"))))
        lines = runner.log_lines(job.handle, "main", should_tail=True)
        assert next(lines) == "ready\n"
        assert not is_terminal(job.status().state)
        runner.cancel(job.handle)
        assert list(lines) == ["last\n"]
        assert is_terminal(job.status().state)

    def test_follow_after_the_end_gives_everything(self, runner: Runner) -> None:
        job = self.talked(runner)
        assert job.lines(should_tail=True) == [line.format(0) for line in _TALKED]

    def test_follow_of_a_silent_job_ends(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role("exit 3")))
        assert job.lines(should_tail=True) == []
        job.ends(AppState.FAILED)

    def test_follow_from_the_tail(self, runner: Runner) -> None:
        script = "echo one; echo two; " + UNTIL_STOPPED.replace("exit 0", "echo last; exit 0")
        job = self.run(runner, self.app(self.role(script)))
        job.reaches("ready")
        chunks = runner.logs(job.handle, LogQuery("main", (0,), tail=1, follow=True))
        assert next(chunks).data == b"ready\n"
        runner.cancel(job.handle)
        assert b"".join(c.data for c in chunks) == b"last\n"

    # --- bytes ----------------------------------------------------------------------------------------------------

    def test_odd_bytes_and_line_ends_are_kept(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role(_ODD_BYTES)))
        job.ends(AppState.SUCCEEDED)
        wanted = [line.replace(b"\r\n", self.crlf) for line in _ODD_LINES]
        assert [line.encode("utf-8", "surrogateescape") for line in job.lines()] == wanted
        assert b"".join(c.data for c in runner.logs(job.handle, LogQuery())) == b"".join(wanted)

    def test_five_megabytes_are_complete(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role(_MUCH)))
        followed = job.lines(should_tail=True)
        job.ends(AppState.SUCCEEDED)
        assert len(followed) == _MANY
        assert set(followed) == {_LINE + "\n"}
        assert job.lines() == followed

    def test_a_line_of_a_megabyte_is_not_cut(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role(_LONG_LINE)))
        job.ends(AppState.SUCCEEDED)
        assert job.lines() == ["x" * _LONG + "\n", "after\n"]

    def test_a_job_that_writes_nothing_has_an_empty_log(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role("exit 0")))
        job.ends(AppState.SUCCEEDED)
        assert job.lines() == []


def _texts(runner: Runner, job: Job, query: LogQuery | None = None) -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    for chunk in runner.logs(job.handle, query or LogQuery()):
        key = (chunk.role, chunk.replica)
        found[key] = found.get(key, "") + chunk.data.decode()
    return found


def _time_of(runner: Runner, job: Job, text: bytes) -> float:
    chunks: list[LogChunk] = list(runner.logs(job.handle, LogQuery("main", (0,))))
    return next(c.time for c in chunks if text in c.data)
