"""The component's test: nothing is submitted."""

from __future__ import annotations

from examples.hello.jobs import greet
from xrun.testing import check_component


def test_greet() -> None:
    """Three replicas with the same words."""
    app = check_component(greet, "world", times=3)

    assert app.roles[0].args == ["hello world"]
    assert app.roles[0].num_replicas == 3


def test_greet_loudly() -> None:
    """Capitals."""
    assert check_component(greet, "world", loud=True).roles[0].args == ["HELLO WORLD"]
