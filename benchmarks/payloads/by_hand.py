"""The floor of a dry run: arguments parsed, a job made of dataclasses, a shell script printed."""

from __future__ import annotations

import argparse
import json
import shlex
from dataclasses import asdict, dataclass, field


@dataclass
class Role:
    name: str
    entrypoint: str
    args: list[str] = field(default_factory=list)


@dataclass
class App:
    name: str
    roles: list[Role]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--msg", default="hello world")
    app = App("echo", [Role("echo", "echo", [parser.parse_args().msg])])
    print(f"#!/bin/sh\n# {json.dumps(asdict(app))}")
    for role in app.roles:
        print(" ".join(shlex.quote(word) for word in (role.entrypoint, *role.args)))


if __name__ == "__main__":
    main()
