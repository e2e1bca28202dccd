"""A component of your own: a typed function that returns the description of a job."""

from __future__ import annotations

from xrun.specs import AppDef, Role


def greet(name: str, times: int = 1, loud: bool = False) -> AppDef:
    """Greets somebody.

    Args:
        name: who.
        times: how many replicas say it.
        loud: say it in capitals.
    """
    text = f"hello {name}"
    return AppDef(
        "greet", [Role("greeter", entrypoint="echo", args=[text.upper() if loud else text], num_replicas=times)]
    )
