from __future__ import annotations

import pytest

from xrun.components.structured_arg import StructuredJArgument, StructuredNameArgument, parse_nnodes
from xrun.errors import InvalidValue, UnknownName


@pytest.mark.parametrize(
    ("name", "m", "script", "expected"),
    [
        ("foo/bar", None, "bar/baz.py", ("foo", "bar")),
        ("foo/", None, "bar/baz.py", ("foo", "baz")),
        ("/bar", None, "bar/baz.py", ("default-experiment", "bar")),
        ("bar", "a.b", None, ("default-experiment", "bar")),
        ("/", "a.b.c", None, ("default-experiment", "c")),
        ("", "a", None, ("default-experiment", "a")),
        ("a/b/c", "a", None, ("a", "b/c")),
    ],
)
def test_name(name: str, m: str | None, script: str | None, expected: tuple[str, str]) -> None:
    found = StructuredNameArgument.parse_from(name, m, script)
    assert (found.experiment_name, found.run_name) == expected
    assert str(found) == "/".join(expected)


@pytest.mark.parametrize(("m", "script", "said"), [(None, None, "none"), ("", "", "none"), ("a", "b", "both")])
def test_name_needs_exactly_one_program(m: str | None, script: str | None, said: str) -> None:
    with pytest.raises(InvalidValue, match=f"exactly one of script and m is needed, not {said}"):
        StructuredNameArgument.parse_from("/", m, script)


@pytest.mark.parametrize(
    ("h", "j", "expected"),
    [
        ("aws_p4d.24xlarge", "2", "2x8"),
        ("aws_p4d.24xlarge", "2x4", "2x4"),
        ("aws_p4d.24xlarge", "1:2", "1:2x8"),
        ("aws_p4d.24xlarge", "1:2x4", "1:2x4"),
        ("gpu.small", "1x1", "1x1"),
        ("cpu.small", "2x16", "2x16"),
    ],
)
def test_j_infers_the_processes(h: str, j: str, expected: str) -> None:
    assert str(StructuredJArgument.parse_from(h, j)) == expected


@pytest.mark.parametrize("j", ["", "x", "2x", "x2", "a", "2:1", "0", "2x0", "1:2:3", "-1", "²"])
def test_j_refuses(j: str) -> None:
    with pytest.raises(InvalidValue, match="-j"):
        StructuredJArgument.parse_from("gpu.small", j)


def test_j_needs_gpus_to_infer_from() -> None:
    with pytest.raises(InvalidValue, match=r"cpu.small has no GPU to count; write -j 2x8"):
        StructuredJArgument.parse_from("cpu.small", "2")
    with pytest.raises(UnknownName, match="did you mean"):
        StructuredJArgument.parse_from("gpu.smal", "2")


@pytest.mark.parametrize(
    ("j", "expected"),
    [
        ("2", (1, 1, 2, "1")),
        ("1x2", (1, 1, 2, "1")),
        ("4x8", (4, 4, 8, "4")),
        ("2:4x8", (2, 4, 8, "2:4")),
        ("4:4x8", (4, 4, 8, "4")),
        ("016x08", (16, 16, 8, "16")),
    ],
)
def test_parse_nnodes(j: str, expected: tuple[int, int, int, str]) -> None:
    assert parse_nnodes(j) == expected


@pytest.mark.parametrize(
    "j", ["", "x2", "1x", "1:2", "2:1x4", "0x1", "1x0", "0", "0:1x1", "1x2\n", "autoxgpu", "1 x 2"]
)
def test_parse_nnodes_refuses(j: str) -> None:
    with pytest.raises(InvalidValue, match="-j"):
        parse_nnodes(j)
