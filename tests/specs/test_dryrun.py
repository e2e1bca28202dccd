"""A request that is ready to be sent."""

from __future__ import annotations

from tests.specs import jobs
from xrun.specs.dryrun import AppDryRunInfo
from xrun.specs.identity import spec_hash
from xrun.specs.options import CommonOptions


def info() -> AppDryRunInfo[dict[str, int]]:
    return AppDryRunInfo(
        {"a": 1},
        lambda request: f"request {request}",
        app=jobs.full(),
        scheduler="local",
        options=CommonOptions(max_runtime=5),
        app_id="full-x7f2q",
        request_id="r1",
    )


def test_its_text_is_that_of_the_request() -> None:
    assert str(info()) == repr(info()) == f"{info()}" == "request {'a': 1}"


def test_cfg_is_a_mapping_of_the_callers_own() -> None:
    one = info()
    cfg = dict(one.cfg)

    assert cfg == {"max_runtime": 5, "grace_period": 30.0, "image": "", "inherit_env": True}
    assert one.cfg is not one.cfg
    assert (one.notices, one.chosen_request_id) == ([], False)


def test_the_hash_is_of_the_job_and_its_options() -> None:
    assert info().spec_hash == spec_hash(jobs.full(), {**info().cfg})
    assert info().spec_hash != spec_hash(jobs.full(), {})
