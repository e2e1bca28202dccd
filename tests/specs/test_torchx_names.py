"""A component written for TorchX needs another import and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

import xrun.specs
import xrun.specs.api
from xrun.specs import validate
from xrun.specs.app import AppDef

COMPONENT = """
import xrun.specs as specs
from xrun.specs import AppDef, NONE, Role, macros, named_resources
from xrun.specs.api import BindMount, Resource, RetryPolicy, VolumeMount, parse_mounts


def trainer(image: str, nnodes: int = 2) -> AppDef:
    app = AppDef(name="trainer")
    role = Role(name="worker", image=image)
    role.entrypoint = "python"
    role.args = ["-m", "train", "--job", macros.app_id]
    role.args += ["--rank", macros.replica_id, "--host-var", specs.macros.rank0_env, "--root", macros.img_root]
    role.env["LOGLEVEL"] = "INFO"
    role.env.update(OUT=f"/out/{macros.app_id}")
    role.num_replicas = nnodes
    role.min_replicas = 1
    role.max_retries = 2
    role.retry_policy = RetryPolicy.APPLICATION
    role.resource = specs.resource(cpu=4, gpu=1, memMB=2048)
    role.resource = Resource.copy(named_resources["gpu.small"], zone="a")
    role.port_map["c10d"] = 29500
    role.mounts = parse_mounts(["type=bind", "src=/a", "dst=/b", "readonly"])
    role.mounts.append(VolumeMount(src="cache", dst_path="/cache"))
    role.metadata["kubernetes"] = {"priority": macros.app_id}
    app.roles.append(role)
    small = specs.Resource(cpu=1, gpu=0, memMB=512)
    app.roles += [specs.Role(name="reader", image=image, entrypoint="sh", args=["-c", "true"], resource=small)]
    app.metadata["team"] = "x"
    return app
"""


def test_a_job_built_step_by_step() -> None:
    names: dict[str, object] = {}
    exec(compile(COMPONENT, "component.py", "exec"), names)
    app = names["trainer"]("img:1")  # type: ignore[operator]

    assert isinstance(app, AppDef)
    assert validate(app) == []
    assert [role.name for role in app.roles] == ["worker", "reader"]
    assert app.roles[0].args[-1] == "${img_root}"
    assert app.roles[0].resource.capabilities == {"zone": "a"}
    assert [mount.dst_path for mount in app.roles[0].mounts] == ["/b", "/cache"]


@pytest.mark.parametrize(
    "name",
    [
        *("AppDef", "AppDryRunInfo", "AppHandle", "AppState", "AppStatus", "BindMount", "CfgVal", "DeviceMount"),
        *("MountType", "NONE", "ReplicaState", "ReplicaStatus", "Resource", "RetryPolicy", "Role", "RoleStatus"),
        *("VolumeMount", "Workspace", "get_named_resources", "is_started", "is_terminal", "macros"),
        *("make_app_handle", "named_resources", "parse_app_handle", "parse_mounts", "resource", "runopt", "runopts"),
    ],
)
def test_the_name_is_found_on_both_paths(name: str) -> None:
    assert getattr(xrun.specs, name) is getattr(xrun.specs.api, name)


def test_all_is_what_there_is() -> None:
    assert xrun.specs.api.__all__ == xrun.specs.__all__
    assert sorted(set(xrun.specs.__all__)) == sorted(xrun.specs.__all__)
    assert {name for names in xrun.specs._HOMES.values() for name in names} | {"macros"} == set(xrun.specs.__all__)
    for name in xrun.specs.__all__:
        assert getattr(xrun.specs, name) is not None


def test_star_imports() -> None:
    names: dict[str, object] = {}
    exec("from xrun.specs.api import *", names)

    assert names["AppDef"] is AppDef
    assert set(xrun.specs.__all__) <= set(names)


@pytest.mark.parametrize("module", [xrun.specs, xrun.specs.api])
def test_another_name_is_an_attribute_error(module: object) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'AppDf'"):
        _ = module.AppDf  # type: ignore[attr-defined]


def test_reading_one_name_imports_nothing_heavy() -> None:
    code = "import sys; from xrun.specs import AppDef, Role, macros; AppDef('a', [Role('r')]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    modules = set(done.stdout.split())

    assert "xrun.specs.app" in modules
    assert not modules & {"yaml", "msgspec", "click", "json", "difflib", "torch", "importlib.metadata", "xrun.plugins"}
    assert not {m for m in modules if m.startswith(("xrun.specs.named", "xrun.specs.validation", "xrun.schedulers"))}
