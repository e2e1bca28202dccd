"""Which cluster a kubeconfig means, and who we are there: as kubectl reads it, also where the client does otherwise."""

from __future__ import annotations

import logging
import os
from typing import Any

_IN_POD = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


def load(config: Any, configuration: Any, kubeconfig: str, context: str) -> str:
    """Fills a configuration of the client's; what the client goes on with as if nothing were wrong raises.

    Args:
        config: the client's package of that name, which only client.py imports.
        configuration: the client's, which is filled.
        kubeconfig: its file; empty for KUBECONFIG, ~/.kube/config or, inside a pod, what is there.
        context: one of its contexts; empty for the current one.

    Returns:
        The context's namespace; empty if it names none.

    Raises:
        ValueError: there is no cluster in it that could be asked, or no way to say who we are.
        Exception: the client's own errors, YAML's, and those of programs that give tokens.
    """
    said = _Said()
    logging.getLogger().addHandler(said)  # what becomes of a program that should give a token, the client only logs
    try:
        namespace = _load(config, configuration, kubeconfig, context)
    finally:
        logging.getLogger().removeHandler(said)
    if "://" not in configuration.host:
        raise ValueError(f"server {configuration.host} has no https://")
    if said.lines and not configuration.api_key and not configuration.cert_file:
        raise ValueError(said.lines[-1])
    return namespace


def _load(config: Any, configuration: Any, kubeconfig: str, context: str) -> str:
    """Fills the configuration; gives the context's namespace."""
    in_pod = os.environ.get("KUBERNETES_SERVICE_HOST") and os.path.exists(_IN_POD)
    default = os.path.expanduser(os.environ.get("KUBECONFIG") or "~/.kube/config")
    if not kubeconfig and not context and in_pod and not os.path.exists(default):
        config.load_incluster_config(client_configuration=configuration)
        with open(_IN_POD, encoding="utf-8") as file:
            return file.read().strip()
    # said to it, since the client remembers the KUBECONFIG that there was when it was imported
    path = os.path.expanduser(kubeconfig) or default
    files = config.kube_config.KubeConfigMerger(path).config_files.values()
    # of several files the first one decides, as for kubectl; for the client it's the last one
    chosen = context or next((name for file in files if (name := file.get("current-context"))), None)
    config.load_kube_config(path, chosen, client_configuration=configuration)
    contexts = (c.get("context") for file in files for c in file.get("contexts") or () if c["name"] == chosen)
    return str((next(contexts, None) or {}).get("namespace") or "")


class _Said(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
