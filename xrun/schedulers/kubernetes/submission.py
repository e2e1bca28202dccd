"""An app comes to be: its own object first, which exists once for each name, then what belongs to it."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from xrun.errors import BackendError, InvalidJob, InvalidValue, XrunError
from xrun.schedulers import images, secrets
from xrun.schedulers.kubernetes import labels, request, workspace
from xrun.schedulers.kubernetes.client import (
    CONFIG_MAP,
    FORBIDDEN,
    JOB,
    JOBSET,
    KINDS,
    MERGE,
    POD,
    SECRET,
    STRATEGIC,
    Cluster,
    Refused,
)
from xrun.schedulers.kubernetes.job import owner
from xrun.schedulers.kubernetes.request import KubernetesRequest
from xrun.schedulers.user import user_name
from xrun.specs.dryrun import AppDryRunInfo
from xrun.specs.problems import Problem

_FORBIDDEN, _NOT_THERE, _CONFLICT = 403, 404, 409
_NO_JOBSET, _ELSEWHERE, _NO_TEXT, _SERVER, _CHANGED = "XR173", "XR172", "XR174", "XR169", "XR177"
_GOES = 60.0  # seconds that what is being removed has to go


class Submission:
    """One app on its way to a cluster.

    Args:
        cluster: where.
        info: the request and its identity.
        progress: takes lines about what may surprise.
    """

    def __init__(
        self, cluster: Cluster, info: AppDryRunInfo[KubernetesRequest], progress: Callable[[str], None]
    ) -> None:
        self._cluster, self._info, self._plan = cluster, info, info.request.plan
        self._namespace = self._plan.namespace
        if missing := [*images.missing_scripts(self._plan.app.roles)]:
            raise InvalidJob(missing)
        self._kind = JOBSET if self._plan.kind == "jobset" else JOB
        code, self._config_maps = workspace.pack(self._plan.app.roles, self._namespace, progress)
        self._number = os.urandom(8).hex()
        own = {
            labels.REQUEST_ID: info.request_id,
            labels.SPEC_HASH: info.spec_hash,
            labels.USER: user_name(),
            labels.SUBMISSION: self._number,
        }
        self._head = request.head(info.request, code, own)

    def run(self) -> bool:
        """Creates everything; False if there is an app of that name.

        Raises:
            InvalidValue: a secret can't be had.
            BackendError: the cluster refuses.
            BackendUnavailable: it can't be reached; submitting the same request again is safe.
        """
        values = self._secrets()
        end = time.monotonic() + _GOES
        while True:
            head, is_mine = self._cluster.steady(self._create)
            if not head["metadata"].get("deletionTimestamp"):
                break
            if time.monotonic() > end:
                message = f"{self._plan.handle} is being deleted, and has not gone after {_GOES:g} s"
                raise BackendError(f"{message}; kubectl describe shows what holds it", code=_ELSEWHERE)
            time.sleep(0.2)
        notes = head["metadata"].get("annotations") or {}
        same = all(
            notes.get(k) == self._head["metadata"]["annotations"][k] for k in (labels.REQUEST_ID, labels.SPEC_HASH)
        )
        if is_mine or same:  # what another submission of the same was not let finish is finished here
            try:
                self._complete(head, values)
            except BackendError as error:
                if is_mine:
                    self._undo(error)
                raise
        return is_mine

    def _undo(self, why: BackendError) -> None:
        name = self._plan.name
        try:
            self._cluster.steady(lambda: self._cluster.delete(f"remove {name} again", self._path(name)))
        except Refused as error:
            raise BackendError(f"{why}; {self._head['kind']} {name} stays: {error}", code=why.code) from why

    def check(self) -> list[Problem]:
        """What the API server, and whoever else has a say there, finds wrong; nothing is made.

        Raises:
            BackendUnavailable: it can't be reached.
        """
        found = []
        asked = [(self._kind, self._head), *((KINDS[c["kind"]], c) for c in self._companions())]
        for kind, body in asked:
            try:
                self._dry_run(kind, body)
            except XrunError as error:
                if not isinstance(error, Refused) or error.status == _CONFLICT:
                    if isinstance(error, Refused):
                        continue
                    raise
                error = self._explained(error, kind)
                fix = f"xrun explain {error.code}"
                found.append(Problem(error.code, f"request.{body['kind']}", str(error), fix))
        return found or [*self._pod_problems()]

    def _pod_problems(self) -> Iterator[Problem]:
        """What a quota or a policy says of pods, which nobody is told who makes what makes them."""
        for role, template in zip(self._plan.app.roles, _templates(self._head), strict=True):
            meta = {**template.get("metadata", {}), "generateName": f"{self._plan.name[:50]}-"}
            body = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
            try:
                path = self._cluster.path(POD, self._namespace)
                self._cluster.create(f"make pods of {role.name}", path, body, dryRun="All")
            except Refused as error:
                if error.code != FORBIDDEN:  # who may make no pods isn't told by this either
                    yield Problem(error.code, f"request.{role.name}", str(error), f"xrun explain {error.code}")

    # --- the app's own object --------------------------------------------------------------------------------------

    def _create(self) -> tuple[dict[str, Any], bool]:
        """The object of that name, and whether it is of this submission."""
        name = self._plan.name
        what = f"create {self._head['kind']} {name}"
        try:
            return self._cluster.create(what, self._path(), self._head), True
        except Refused as error:
            if error.status != _CONFLICT:
                raise self._explained(error, self._kind) from error
        try:
            there = self._cluster.get(f"look at {name}", self._path(name))
        except Refused as error:
            if error.status != _NOT_THERE:
                raise
            return {"metadata": {"deletionTimestamp": "now"}}, False  # gone meanwhile
        notes = there["metadata"].get("annotations") or {}
        # the answer to an earlier try may have been lost
        return {"kind": self._head["kind"], "apiVersion": self._head["apiVersion"], **there}, notes.get(
            labels.SUBMISSION
        ) == self._number

    def _dry_run(self, kind: str, body: Mapping[str, Any]) -> None:
        path = self._cluster.path(kind, self._namespace)
        self._cluster.create(f"create {body['kind']} {body['metadata']['name']}", path, body, dryRun="All")

    def _explained(self, error: Refused, kind: str) -> Refused:
        if kind == JOBSET and error.status == _NOT_THERE and "namespaces" not in str(error):
            message = (
                "the cluster has no JobSet, which several roles and restarts of the whole app need; have it installed "
                "(jobset.sigs.k8s.io), or make the app one role without APPLICATION retries"
            )
            return Refused(message, error.status, error.reason, _NO_JOBSET)
        return error

    # --- what belongs to it ----------------------------------------------------------------------------------------

    def _companions(self) -> list[dict[str, Any]]:
        return [*self._config_maps, *request.companions(self._info.request)]

    def _complete(self, head: Mapping[str, Any], values: Mapping[str, bytes]) -> None:
        mark = owner(head)
        used, mine = _workspaces(head), {body["metadata"]["name"] for body in self._config_maps}
        for name in used - mine:
            self._cluster.steady(lambda name=name: self._share_earlier(name, mark))  # type: ignore[misc] # bound now
        bodies = [b for b in self._companions() if b["kind"] != "ConfigMap" or b["metadata"]["name"] in used]
        if values:
            bodies.append(self._secret(values))
        for body in bodies:
            owned = {**body, "metadata": {**body["metadata"], "ownerReferences": [mark]}}
            self._cluster.steady(lambda owned=owned: self._add(owned, mark))  # type: ignore[misc] # bound now

    def _add(self, body: dict[str, Any], mark: Mapping[str, Any]) -> None:
        kind, name = KINDS[body["kind"]], body["metadata"]["name"]
        path = self._cluster.path(kind, self._namespace)
        end = time.monotonic() + _GOES
        while True:
            try:
                self._cluster.create(f"create {body['kind']} {name}", path, body)
                return
            except Refused as error:
                if error.status != _CONFLICT:
                    raise
            try:
                there = self._cluster.get(f"look at {name}", f"{path}/{name}")["metadata"]
            except Refused as error:
                if error.status == _FORBIDDEN and kind == SECRET:
                    return  # who may not read secrets can't look; only this app's has this name
                if error.status != _NOT_THERE:
                    raise
                continue
            if any(o["uid"] == mark["uid"] for o in there.get("ownerReferences") or []):
                return
            if kind == CONFIG_MAP and not there.get("deletionTimestamp"):
                if there.get("ownerReferences"):  # one that nobody owns was made by hand, and stays
                    self._share(name, mark)
                return
            if time.monotonic() > end:
                message = f"there is a {body['kind']} {name} that is not of this app"
                raise BackendError(f"{message}; remove it, or name the app otherwise", code=_ELSEWHERE)
            time.sleep(0.2)

    def _share(self, name: str, mark: Mapping[str, Any]) -> None:
        """A workspace may belong to several apps, and goes with the last."""
        path = self._cluster.path(CONFIG_MAP, self._namespace, name)
        self._cluster.patch(f"share {name}", path, {"metadata": {"ownerReferences": [mark]}}, STRATEGIC)

    def _share_earlier(self, name: str, mark: Mapping[str, Any]) -> None:
        """The workspace as it was when a submission was begun that this one goes on with."""
        try:
            self._share(name, mark)
        except Refused as error:
            if error.status != _NOT_THERE:
                raise
            handle = self._plan.handle
            message = f"{handle} was begun with another state of the workspace, which did not arrive"
            raise BackendError(f"{message}; xrun delete {handle}, then submit it again", code=_CHANGED) from error

    def _secrets(self) -> dict[str, bytes]:
        values: dict[str, bytes] = {}
        for r, role in enumerate(self._plan.app.roles):
            mine = {name: ref for name, ref in role.secrets.items() if not ref.startswith("k8s:")}
            for name, value in secrets.resolve(mine, os.environb).items():
                try:
                    value.decode()
                except UnicodeDecodeError as error:
                    message = f"secret {name} is not UTF-8, which is all that variables of a pod can be"
                    raise InvalidValue(f"{message}; encode it, as with base64", code=_NO_TEXT) from error
                values[f"{r}.{name}"] = value
        return values

    def _secret(self, values: Mapping[str, bytes]) -> dict[str, Any]:
        meta: dict[str, Any] = {
            "name": request.secret_name(self._plan),
            "labels": request.shared_labels(self._plan),
        }
        data = {key: base64.b64encode(value).decode() for key, value in values.items()}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "immutable": True, "data": data}

    def _path(self, name: str = "") -> str:
        return self._cluster.path(self._kind, self._namespace, name)


def _templates(head: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The pod templates of an app, one for each role."""
    spec = head["spec"]
    jobs = [one["template"]["spec"] for one in spec["replicatedJobs"]] if "replicatedJobs" in spec else [spec]
    return [job["template"] for job in jobs]


def _workspaces(head: Mapping[str, Any]) -> set[str]:
    """The workspaces that an app's pods unpack."""
    volumes = [v for template in _templates(head) for v in template["spec"].get("volumes") or ()]
    return {name for v in volumes if (name := v.get("configMap", {}).get("name", "")).startswith(workspace.PREFIX)}


def suspend(cluster: Cluster, path: str, moment: float) -> dict[str, Any]:
    """Stops an app: its pods are removed, and it is marked as cancelled."""
    patch = {"metadata": {"annotations": {labels.CANCELLED: f"{moment:.3f}"}}, "spec": {"suspend": True}}
    return cluster.steady(lambda: cluster.patch("cancel", path, patch, MERGE))


def unmark(cluster: Cluster, path: str) -> None:
    """Takes the mark of a cancelled app back: it had ended before."""
    cluster.steady(lambda: cluster.patch("cancel", path, {"metadata": {"annotations": {labels.CANCELLED: None}}}))
