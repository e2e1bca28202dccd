"""Kubernetes: the text of many replicas, a dry run, 500 apps beside ``kubectl create``, and a log's first line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from benchmarks import measure
from benchmarks.bench import Bench
from benchmarks.cases.start import in_clicks
from benchmarks.measure import Command, Failed, median
from benchmarks.report import Figure, Row
from tests.systems import kubernetes_cluster
from tests.systems.kube import programs
from tests.systems.kubernetes_cluster import BUSYBOX, KubernetesSystem

_REPLICAS = 1_000
_NODES = 8


def kubernetes(bench: Bench) -> Iterator[Row]:
    """What needs no cluster first."""
    yield from _text(bench)
    floor = bench.payload("by_hand.py")
    words = ("-s", "kubernetes", "-cfg", "image=busybox", "utils.echo")
    render = {"xrun": bench.launcher("xrun", "render", *words), "floor": floor}
    yield in_clicks(bench, "render -s kubernetes utils.echo", render, 3)
    dryrun = {"xrun": bench.launcher("xrun", "run", "--dryrun", *words), "floor": floor}
    yield in_clicks(bench, "run --dryrun -s kubernetes utils.echo", dryrun, 3)
    if lacking := kubernetes_cluster.lacking():
        raise Failed(lacking)
    with kubernetes_cluster.started() as cluster:
        yield from _many(bench, cluster)
        yield _first_line(bench, cluster)


def _text(bench: Bench) -> Iterator[Row]:
    def task() -> float:
        command = bench.payload("kubernetes_render.py", str(_REPLICAS), "200")
        found.append(json.loads(measure.output(command, bench.env(), bench.work)))
        return float(found[-1]["seconds"])

    found: list[dict[str, float]] = []
    times = measure.in_turns({"xrun": task}, bench.few_rounds, bench.tell)
    yield Row(f"API dry run and its text, {_REPLICAS:,} replicas", "ms", median(times["xrun"], 1000), target=2)
    yield Row(f"the text of {_REPLICAS:,} replicas", "bytes", Figure(found[-1]["bytes"]), target=5120)


def _many(bench: Bench, cluster: KubernetesSystem) -> Iterator[Row]:
    """In turns, each time in a namespace of its own, so that neither finds what the other made."""
    count = 50 if bench.quick else 500
    file = bench.work / "many.yaml"
    told: list[dict[str, Any]] = []

    def by_hand() -> float:
        with kubernetes_cluster.namespace(cluster) as namespace:
            kubeconfig = kubernetes_cluster.admin_of(cluster, namespace)
            render = bench.payload("kubernetes_many.py", "render", str(file), str(count), peer="kubernetes")
            measure.run(render, bench.env("kubernetes", KUBECONFIG=kubeconfig), bench.work)
            create: Command = [programs.find("kubectl"), f"--kubeconfig={kubeconfig}", "create", "--filename", file]
            return measure.run(create, bench.env("kubernetes"), bench.work)

    def by_xrun() -> float:
        with kubernetes_cluster.namespace(cluster) as namespace:
            kubeconfig = kubernetes_cluster.admin_of(cluster, namespace)
            submit = bench.payload("kubernetes_many.py", "submit", str(count), peer="kubernetes")
            env = bench.env("kubernetes", KUBECONFIG=kubeconfig)
            told.append(json.loads(measure.output(submit, env, bench.work)))
            return float(told[-1]["submitted"])

    with kubernetes_cluster.played_nodes(cluster, _NODES):
        times = measure.in_turns({"kubectl": by_hand, "xrun": by_xrun}, bench.few_rounds, bench.tell)
    rate = measure.ratio(times["kubectl"], times["xrun"])
    note = ", ".join(f"{name} {count / median(samples).value:.0f} apps a second" for name, samples in times.items())
    yield Row(
        f"{count} apps x 2 pods: rate as a part of kubectl create's", "x", rate, target=0.8, at_least=True, note=note
    )
    ends = {name: median([found[name] for found in told]) for name in ("total", "cpu", "mib", "asked")}
    yield Row(f"{count} apps from the first submission to the end of all", "s", ends["total"])
    yield Row(f"{count} apps followed to their end: CPU", "s", ends["cpu"])
    yield Row(f"{count} apps submitted and followed: memory", "MiB", ends["mib"])
    yield Row(f"{count} apps followed: calls of the API server", "calls", ends["asked"])


def _first_line(bench: Bench, cluster: KubernetesSystem) -> Row:
    with kubernetes_cluster.namespace(cluster) as namespace:
        kubeconfig = kubernetes_cluster.admin_of(cluster, namespace)
        words = (str(cluster.folder / "kubelet" / "logs"), BUSYBOX, str(bench.rounds))
        command = bench.payload("kubernetes_first_line.py", *words, peer="kubernetes")
        env = bench.env("kubernetes", KUBECONFIG=kubeconfig)
        behind = json.loads(measure.output(command, env, bench.work))["behind"]
    return Row("a pod's first line, from the kubelet's file to us", "ms", median(behind, 1000), target=100)
