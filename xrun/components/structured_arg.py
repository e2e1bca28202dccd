"""Arguments that hold two or three values in one word: ``-j 2x8`` and ``--name experiment/run``.

A component of your own that takes them through these classes reads them as the built-in ones do.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from xrun.errors import InvalidValue

_J = re.compile(r"(?:(?:([0-9]+):)?([0-9]+)x)?([0-9]+)")
_J_NODES = re.compile(r"(?:([0-9]+):)?([0-9]+)(?:x([0-9]+))?")


@dataclass
class StructuredNameArgument:
    """An experiment and one run of it, written ``experiment/run``.

    Attributes:
        experiment_name: what runs are grouped by.
        run_name: this run.
    """

    experiment_name: str
    run_name: str

    def __str__(self) -> str:
        return f"{self.experiment_name}/{self.run_name}"

    @staticmethod
    def parse_from(
        name: str, m: str | None = None, script: str | None = None, default_experiment_name: str = "default-experiment"
    ) -> StructuredNameArgument:
        """Reads ``experiment/run``, ``experiment/``, ``/run``, ``run`` or ``/``.

        Args:
            name: what was typed.
            m: the main module; the last part of its name is the run's if ``name`` has none.
            script: the main script; its file name without the suffix is the run's if ``name`` has none.
            default_experiment_name: the experiment if ``name`` has none.

        Raises:
            InvalidValue: not exactly one of ``m`` and ``script`` is given.
        """
        if bool(m) == bool(script):
            given = "both" if m else "none"
            message = f"exactly one of script and m is needed, not {given}; give --script FILE or -m MODULE"
            raise InvalidValue(message, code="XR034")
        experiment, slash, run = name.partition("/")
        if not slash:
            experiment, run = "", name
        if not run:
            run = m.rpartition(".")[2] if m else os.path.splitext(os.path.basename(script or ""))[0]
        return StructuredNameArgument(experiment or default_experiment_name, run)


@dataclass
class StructuredJArgument:
    """Nodes and processes on each, written ``[min:]nodes x processes``.

    Attributes:
        nnodes: nodes that start.
        nproc_per_node: processes on each of them.
        min_nnodes: nodes that an elastic job can go on with; None if it isn't elastic.
    """

    nnodes: int
    nproc_per_node: int
    min_nnodes: int | None = None

    def __str__(self) -> str:
        least = "" if self.min_nnodes is None else f"{self.min_nnodes}:"
        return f"{least}{self.nnodes}x{self.nproc_per_node}"

    @staticmethod
    def parse_from(h: str, j: str) -> StructuredJArgument:
        """Reads ``-j`` for a host; ``2`` is two nodes with as many processes as the host has GPUs.

        Args:
            h: a named resource.
            j: ``[min:]nodes`` or ``[min:]nodes x processes``; a number of processes is taken as it stands.

        Raises:
            InvalidValue: ``j`` is malformed, or leaves out the processes while the host has no GPU.
            UnknownName: there is no resource ``h``.
        """
        found = _J_NODES.fullmatch(j)
        if found is None:
            message = f"-j {j!r} is not [MIN:]NODES or [MIN:]NODESxPROCESSES, as in 2, 2x8 or 1:4x8"
            raise InvalidValue(message, code="XR035")
        least, nodes, processes = found.groups()
        if processes is None:
            from xrun.specs.resources import resource

            gpus = resource(h=h).gpu
            if gpus <= 0:
                message = f"-j {j!r} leaves out the processes and {h} has no GPU to count; write -j {j}x8"
                raise InvalidValue(message, code="XR035")
            processes = str(gpus)
        parse_nnodes(f"{nodes if least is None else f'{least}:{nodes}'}x{processes}")
        return StructuredJArgument(int(nodes), int(processes), None if least is None else int(least))


def parse_nnodes(j: str) -> tuple[int, int, int, str]:
    """Reads ``[[min:]nodes x]processes``: ``4x8``, ``2:4x8`` (elastic) or ``2`` (one node).

    Args:
        j: what was typed after ``-j``.

    Returns:
        Fewest nodes, nodes, processes on each, and the nodes as torchrun's ``--nnodes`` takes them (``4`` or ``2:4``).

    Raises:
        InvalidValue: another form, a zero, or min > nodes.
    """
    found = _J.fullmatch(j)
    if found is None:
        raise InvalidValue(f"-j {j!r} is not [[MIN:]NODESx]PROCESSES, as in 4, 2x8 or 1:2x8", code="XR035")
    least, nodes, processes = found.groups()
    most = int(nodes or 1)
    fewest = most if least is None else int(least)
    if fewest < 1 or most < 1 or int(processes) < 1:
        raise InvalidValue(f"-j {j!r} holds a 0; ask for at least one node and one process", code="XR035")
    if fewest > most:
        message = f"-j {j!r} asks for at least {fewest} of {most} nodes; write MIN:NODES with MIN <= NODES"
        raise InvalidValue(message, code="XR035")
    return fewest, most, int(processes), f"{fewest}:{most}" if fewest < most else str(most)
