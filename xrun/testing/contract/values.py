"""Arguments and variables arrive byte for byte."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import hypothesis
import pytest
from hypothesis import strategies as st

from xrun.errors import InvalidJob
from xrun.runner import Runner
from xrun.specs.states import AppState
from xrun.specs.validation import MAX_ARGUMENT
from xrun.testing.contract.base import ContractBase
from xrun.testing.hostile import HOSTILE

_DIGESTS = """
echo "$# arguments"
for a; do printf %s "$a" | sha256sum; done
i=0
while [ $i -lt "$COUNT" ]; do eval "v=\\${V$i-unset}"; printf %s "$v" | sha256sum; i=$((i+1)); done
"""

_PACK = 100
_NESTED = re.compile(r"\$\$?\{\s*\$+\{")  # TorchX's old macros, refused by the checks
_TEXT = st.lists(
    st.sampled_from([h for h in HOSTILE if len(h) < 50])
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
    max_size=4,
).map("".join)


class ValueCases(ContractBase):
    """No quoting, splitting, expanding, trimming or decoding on the way."""

    def check_values(self, runner: Runner, args: Sequence[str], values: Sequence[str]) -> None:
        """Runs one job with many arguments and variables and compares the SHA-256 of each."""
        env = {f"V{i}": value for i, value in enumerate(values)}
        job = self.run(runner, self.app(self.role(_DIGESTS, *args, env={**env, "COUNT": str(len(values))})))
        job.ends(AppState.SUCCEEDED)
        count, *lines = job.lines()
        assert count == f"{len(args)} arguments\n"
        found = [line.split()[0] for line in lines]
        wanted = [hashlib.sha256(text.encode()).hexdigest() for text in (*args, *values)]
        changed = [text for text, a, b in zip((*args, *values), found, wanted, strict=True) if a != b]
        assert not changed

    def test_hostile_arguments_and_variables(self, runner: Runner) -> None:
        self.check_values(runner, HOSTILE, HOSTILE)

    def test_random_arguments_and_variables(self, runner: Runner) -> None:
        pack = st.lists(_TEXT.filter(lambda text: not _NESTED.search(text)), min_size=_PACK, max_size=_PACK)

        @hypothesis.settings(
            max_examples=self.hostile_jobs,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(pack, pack)
        def arrive(args: list[str], values: list[str]) -> None:
            self.check_values(runner, args, values)

        arrive()

    def test_the_longest_argument_arrives_and_a_longer_one_is_refused(self, runner: Runner) -> None:
        self.check_values(runner, ["x" * MAX_ARGUMENT], [])
        with pytest.raises(InvalidJob) as refusal:
            runner.run(self.app(self.role("true", "x" * (MAX_ARGUMENT + 1))), self.scheduler, self.options())
        assert refusal.value.exit_code == 3

    def test_unusual_variable_names(self, runner: Runner) -> None:
        names = ["lower", "_x9", "MiXeD_1", "A" * 200]
        script = "; ".join(f'echo "${name}"' for name in names)
        job = self.run(runner, self.app(self.role(script, env={name: f"is {name}" for name in names})))
        job.ends(AppState.SUCCEEDED)
        assert job.lines() == [f"is {name}\n" for name in names]
