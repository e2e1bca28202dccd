"""What one replica asks for."""

from __future__ import annotations

import pytest

from xrun.errors import UnknownName
from xrun.specs.resources import Resource, resource


def test_a_resource_asks_for_nothing_by_itself() -> None:
    empty = Resource()

    assert (empty.cpu, empty.gpu, empty.memMB) == (-1, -1, -1)
    assert (empty.capabilities, empty.devices, empty.tags) == ({}, {}, {})
    assert Resource().devices is not empty.devices


def test_the_defaults_of_resource_are_torchxs() -> None:
    assert resource() == Resource(cpu=2, gpu=0, memMB=1024)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"cpu": 0}, Resource(0, 0, 1024)),
        ({"cpu": 0.5, "gpu": 1}, Resource(0.5, 1, 1024)),
        ({"memMB": 7}, Resource(2, 0, 7)),
        ({"h": ""}, Resource(2, 0, 1024)),
    ],
)
def test_numbers(asked: dict[str, float], expected: Resource) -> None:
    assert resource(**asked) == expected  # type: ignore[arg-type]


def test_a_name_wins_over_numbers() -> None:
    assert resource(cpu=99, gpu=99, memMB=99, h="gpu.small") == Resource(8, 1, 32768)


def test_an_unknown_name() -> None:
    with pytest.raises(UnknownName, match=r"did you mean gpu\.small"):
        resource(h="gpu.smal")


def test_copy_adds_capabilities_and_leaves_the_original() -> None:
    original = Resource(1, 2, 3, {"a": 1, "b": 2}, {"efa": 1}, {"t": 1})
    copied = Resource.copy(original, b=3, c=4)
    copied.devices["efa"] = 9
    copied.tags["t"] = 9

    assert copied == Resource(1, 2, 3, {"a": 1, "b": 3, "c": 4}, {"efa": 9}, {"t": 9})
    assert original == Resource(1, 2, 3, {"a": 1, "b": 2}, {"efa": 1}, {"t": 1})
