"""Named resources: the tables, what is imported when, and who may add a name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest

from xrun import plugins
from xrun.errors import UnknownName
from xrun.specs import resources
from xrun.specs.named import get_named_resource, get_named_resources, named_resources
from xrun.specs.named.library import NamedResources
from xrun.specs.resources import Resource, add_source, resource

INSTANCE_TYPE = "node.kubernetes.io/instance-type"
EFA = "vpc.amazonaws.com/efa"
NEURON = "aws.amazon.com/neurondevice"

M5_SIZES = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge metal"
G5_SIZES = "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge"
TORCHX_AWS = {
    "t3": "medium",
    "c5": "18xlarge",
    "m5": M5_SIZES,
    "m5d": M5_SIZES,
    "p3": "2xlarge 8xlarge 16xlarge",
    "p3dn": "24xlarge",
    "p4d": "24xlarge",
    "p4de": "24xlarge",
    "p5": "48xlarge",
    "p5e": "48xlarge",
    "p5en": "48xlarge",
    "p6-b200": "48xlarge",
    "p6-b300": "48xlarge",
    "p6e-gb200": "36xlarge",
    "g4dn": "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge metal",
    "g5": G5_SIZES,
    "g6e": G5_SIZES,
    "trn1": "2xlarge 32xlarge",
    "inf2": "xlarge 8xlarge 24xlarge 48xlarge",
}
TORCHX_GENERIC = [f"gpu.{size}" for size in ("small", "medium", "large", "xlarge")] + [
    f"cpu.{size}" for size in ("nano", "micro", "small", "medium", "large", "xlarge")
]

SetPlugins = Callable[..., NamedResources]


@pytest.fixture(autouse=True)
def _no_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources that a test adds are gone after it."""
    monkeypatch.setattr(resources, "SOURCES", [])
    monkeypatch.setattr("xrun.specs.named.library.SOURCES", resources.SOURCES)


@pytest.fixture
def set_plugins(monkeypatch: pytest.MonkeyPatch) -> SetPlugins:
    """Installs entry points, name=object; the text "broken" stands for a module that isn't there."""

    def install(**objects: Any) -> NamedResources:
        module = ModuleType("acme_plugin")
        targets = {}
        for number, (name, value) in enumerate(objects.items()):
            setattr(module, f"object{number}", value)
            targets[name] = "acme_missing:nothing" if value == "broken" else f"acme_plugin:object{number}"
        monkeypatch.setitem(sys.modules, "acme_plugin", module)
        monkeypatch.setattr(plugins, "_broken", {})
        monkeypatch.setattr(plugins, "targets", lambda group: targets if group == plugins.NAMED_RESOURCES else {})
        return NamedResources()

    return install


def test_the_names_are_torchxs() -> None:
    aws = {f"aws_{family}.{size}" for family, sizes in TORCHX_AWS.items() for size in sizes.split()}
    names = set(named_resources)

    assert len(aws) == 61
    assert {name for name in names if name.startswith("aws_")} == aws
    assert {name for name in names if "_" not in name} == {*TORCHX_GENERIC, "NULL", "MISSING"}


@pytest.mark.parametrize(
    ("name", "cpu", "gpu", "mib"),
    [
        ("gpu.small", 8, 1, 32768),
        ("gpu.xlarge", 64, 8, 262144),
        ("cpu.nano", 1, 0, 512),
        ("cpu.xlarge", 8, 0, 32768),
        ("NULL", -1, -1, -1),
        ("MISSING", -1, -1, -1),
    ],
)
def test_generic(name: str, cpu: int, gpu: int, mib: int) -> None:
    assert named_resources[name] == Resource(cpu, gpu, mib)


@pytest.mark.parametrize(
    ("name", "cpu", "gpu", "gib", "devices"),
    [
        ("aws_t3.medium", 2, 0, 4, {}),
        ("aws_c5.18xlarge", 72, 0, 142, {}),
        ("aws_m5d.metal", 96, 0, 384, {}),
        ("aws_p3dn.24xlarge", 96, 8, 768, {EFA: 1}),
        ("aws_p4d.24xlarge", 96, 8, 1152, {EFA: 4}),
        ("aws_p5.48xlarge", 192, 8, 2048, {EFA: 32}),
        ("aws_p6-b300.48xlarge", 192, 8, 4096, {EFA: 16}),
        ("aws_g5.xlarge", 4, 1, 16, {}),
        ("aws_trn1.32xlarge", 128, 0, 512, {EFA: 8, NEURON: 16}),
        ("aws_inf2.48xlarge", 192, 0, 768, {NEURON: 12}),
        ("gcp_a2-megagpu-16g", 96, 16, 1360, {}),
        ("gcp_a3-highgpu-8g", 208, 8, 1872, {}),
        ("gcp_g2-standard-32", 32, 1, 128, {}),
        ("azure_Standard_ND96isr_H100_v5", 96, 8, 1900, {}),
        ("azure_Standard_NC64as_T4_v3", 64, 4, 440, {}),
    ],
)
def test_clouds(name: str, cpu: int, gpu: int, gib: int, devices: dict[str, int]) -> None:
    instance_type = name.partition("_")[2]

    assert named_resources[name] == Resource(cpu, gpu, gib * 983, {INSTANCE_TYPE: instance_type}, devices)


def test_every_gcp_and_azure_machine_has_a_whole_gpu_and_its_own_type() -> None:
    for name in named_resources:
        cloud, _, instance_type = name.partition("_")
        if cloud in ("gcp", "azure"):
            found = named_resources[name]
            assert found.gpu >= 1, name
            assert found.cpu >= 4, name
            assert found.memMB % 983 == 0, name
            assert found.capabilities == {INSTANCE_TYPE: instance_type}


@pytest.mark.parametrize(
    ("code", "tables"),
    [
        ("named_resources['gpu.small']", {"generic"}),
        ("named_resources['aws_t3.medium']", {"aws"}),
        ("named_resources['gcp_g2-standard-4']", {"gcp"}),
        ("named_resources['azure_Standard_ND96asr_v4']", {"azure"}),
        ("list(named_resources)", {"generic", "aws", "gcp", "azure"}),
        ("named_resources", set()),
    ],
)
def test_a_table_is_imported_when_it_is_needed(code: str, tables: set[str]) -> None:
    script = f"import sys; from xrun.specs.named import named_resources; {code}; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()

    assert {t for t in ("generic", "aws", "gcp", "azure") if f"xrun.specs.named.{t}" in modules} == tables
    assert "importlib.metadata" not in modules or "list" in code


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("gpu.smal", "gpu.small"),
        ("aws_p4d.24xlarg", "aws_p4d.24xlarge"),
        ("p5.48xlarge", "aws_p5.48xlarge"),
        ("gcp_a3-highgpu-9g", "gcp_a3-highgpu-8g"),
        ("azure_ND96isr_H100_v5", "azure_Standard_ND96isr_H100_v5"),
    ],
)
def test_a_miss_says_what_was_meant(wrong: str, right: str) -> None:
    with pytest.raises(UnknownName) as caught:
        get_named_resource(wrong)

    assert str(caught.value).startswith(f"unknown named resource {wrong!r}; did you mean ")
    assert right in str(caught.value)
    assert right in caught.value.known


def test_it_keeps_a_mappings_word() -> None:
    assert "gpu.small" in named_resources
    assert "gpu.smal" not in named_resources
    assert named_resources.get("gpu.smal") is None
    assert len(named_resources) == len(list(named_resources)) == len(dict(named_resources))
    with pytest.raises(KeyError):
        named_resources["gpu.smal"]


def test_the_other_ways_in() -> None:
    assert get_named_resources is get_named_resource
    assert resource(cpu=1, h="gpu.medium") == get_named_resource("gpu.medium") == named_resources["gpu.medium"]


def test_a_lookup_is_the_callers_own() -> None:
    first = named_resources["aws_p4d.24xlarge"]
    first.cpu = 1
    first.devices[EFA] = 0
    first.capabilities.clear()

    assert named_resources["aws_p4d.24xlarge"] == Resource(96, 8, 1152 * 983, {INSTANCE_TYPE: "p4d.24xlarge"}, {EFA: 4})


def test_a_source_is_asked_late_and_kept_once() -> None:
    calls: list[int] = []
    mine = {"my.node": Resource(3, 1, 500, tags={"nested": {"a": 1}}), "gpu.small": Resource(1, 1, 1)}

    def source() -> Mapping[str, Resource]:
        calls.append(1)
        return mine

    library = NamedResources()
    add_source(source)
    add_source(source)

    assert library["gpu.small"].cpu == 8
    assert calls == []
    library["my.node"].tags["nested"]["a"] = 2
    assert library["my.node"] == Resource(3, 1, 500, tags={"nested": {"a": 1}})
    assert calls == [1, 1]
    assert list(library).count("gpu.small") == list(library).count("my.node") == 1
    with pytest.raises(UnknownName, match=r"did you mean my\.node\?"):
        library["my.nod"]


def test_the_first_source_wins_and_an_error_in_one_is_shown() -> None:
    library = NamedResources()
    add_source(lambda: {"x": Resource(1)})
    add_source(lambda: {"x": Resource(2), "y": Resource(3)})
    assert (library["x"].cpu, library["y"].cpu) == (1, 3)

    def bad() -> Mapping[str, Resource]:
        raise ValueError("xrun.toml: line 3")

    add_source(bad)
    with pytest.raises(ValueError, match="line 3"):
        library["z"]


def test_plugins_of_every_form(set_plugins: SetPlugins) -> None:
    library = set_plugins(
        ready=Resource(1),
        made=lambda: Resource(2),
        table={"acme.a": Resource(3)},
        many=lambda: {"acme.b": Resource(4), "acme.c": Resource(5)},
    )

    assert [library[n].cpu for n in ("ready", "made", "acme.a", "acme.b", "acme.c")] == [1, 2, 3, 4, 5]
    assert {"ready", "made", "acme.a", "acme.b", "acme.c"} <= set(library)
    assert "table" not in library
    assert "many" not in library
    library["ready"].cpu = 99
    assert library["ready"].cpu == 1


def test_a_plugin_never_hides_a_built_in_nor_a_source(set_plugins: SetPlugins) -> None:
    library = set_plugins(**{"gpu.small": Resource(1), "mine": Resource(1), "t": {"aws_t3.medium": Resource(1)}})
    add_source(lambda: {"mine": Resource(7)})

    assert [library[name].cpu for name in ("gpu.small", "aws_t3.medium", "mine")] == [8, 2, 7]


def test_a_plugin_is_not_imported_for_another_name(set_plugins: SetPlugins) -> None:
    library = set_plugins(a_broken="broken", wanted=Resource(2))

    assert library["wanted"].cpu == 2
    assert library["gpu.small"].cpu == 8
    assert plugins.broken() == []


def test_a_plugin_that_cant_be_imported_is_recorded_and_not_fatal(set_plugins: SetPlugins) -> None:
    library = set_plugins(bad="broken", good={"acme.a": Resource(1)})

    assert library["acme.a"].cpu == 1
    assert "bad" not in set(library)
    assert [b.name for b in plugins.broken(plugins.NAMED_RESOURCES)] == ["bad"]
    with pytest.raises(UnknownName, match=r"plugin 'bad' .* can't be loaded: ModuleNotFoundError: No module named"):
        library["bad"]
    with pytest.raises(UnknownName) as caught:
        library["nothing.like.it"]
    assert "plugin" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda: 7, "TypeError: it gives 7, which is neither a Resource nor"),
        ({"a": "b"}, "TypeError: it gives {'a': 'b'}, which is neither"),
        (lambda: [Resource(1)], "TypeError: it gives [Resource(cpu=1"),
    ],
)
def test_a_plugin_that_fails_when_called_is_not_fatal(set_plugins: SetPlugins, value: Any, reason: str) -> None:
    library = set_plugins(bad=value, good={"acme.a": Resource(1)})

    assert library["acme.a"].cpu == 1
    with pytest.raises(UnknownName) as caught:
        library["bad"]
    assert reason in str(caught.value)
