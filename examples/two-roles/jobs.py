"""A server beside a client: two programs, one job."""

from __future__ import annotations

from pathlib import Path

from xrun.specs import AppDef, Role

HERE = Path(__file__).parent


def evaluate(questions: int = 100, clients: int = 1, port: int = 8765) -> AppDef:
    """Asks a small server until its answers have been counted, and stops it.

    Args:
        questions: how many each client asks.
        clients: how many ask at the same time.
        port: where the server listens.
    """
    server = Role(
        "server",
        entrypoint="python3",
        args=[str(HERE / "server.py"), str(port)],
        port_map={"http": port},
        primary=False,
    )
    client = Role(
        "client",
        entrypoint="python3",
        args=[str(HERE / "client.py"), str(port), str(questions)],
        num_replicas=clients,
    )
    return AppDef("evaluate", [server, client])
