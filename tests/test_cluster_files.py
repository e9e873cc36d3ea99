"""The manifests in study/cluster: what can be known of them without machines and without Kubernetes."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import ray
import yaml  # type: ignore[import-untyped]
from ray.scripts.scripts import start
from typer.main import get_command

from study.__main__ import app

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "study" / "cluster"


def closed(required: str, **properties: Any) -> dict[str, Any]:
    """A schema of an object that has these fields and no others."""
    return {
        "type": "object",
        "required": required.split(),
        "additionalProperties": False,
        "properties": properties,
    }


TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
TRUTH: dict[str, Any] = {"type": "boolean"}
TEXTS: dict[str, Any] = {"type": "object", "additionalProperties": TEXT}
POD = closed(
    "spec",
    metadata={"type": "object"},
    spec=closed(
        "containers volumes",
        containers={
            "type": "array",
            "minItems": 1,
            "items": closed(
                "name image resources volumeMounts",
                name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
                image=TEXT,
                env={"type": "array"},
                ports={"type": "array", "items": closed("containerPort", containerPort=COUNT, name=TEXT)},
                resources=closed("limits", limits=TEXTS, requests=TEXTS),
                volumeMounts={"type": "array", "items": closed("name mountPath", name=TEXT, mountPath=TEXT)},
            ),
        },
        volumes={
            "type": "array",
            "items": closed("name", name=TEXT, persistentVolumeClaim=closed("claimName", claimName=TEXT)),
        },
    ),
)
RAYJOB = closed(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=closed("name", name=TEXT, namespace=TEXT, labels=TEXTS),
    spec=closed(
        "entrypoint rayClusterSpec",
        activeDeadlineSeconds=COUNT,
        backoffLimit=COUNT,
        clusterSelector=TEXTS,
        entrypoint=TEXT,
        entrypointNumCpus={"type": "number"},
        entrypointNumGpus={"type": "number"},
        jobId=TEXT,
        metadata=TEXTS,
        runtimeEnvYAML=TEXT,
        shutdownAfterJobFinishes=TRUTH,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
        suspend=TRUTH,
        ttlSecondsAfterFinished=COUNT,
        rayClusterSpec=closed(
            "rayVersion headGroupSpec workerGroupSpecs",
            rayVersion=TEXT,
            authOptions=closed("mode", mode={"enum": ["disabled", "token"]}),
            enableInTreeAutoscaling=TRUTH,
            headGroupSpec=closed("rayStartParams template", rayStartParams=TEXTS, serviceType=TEXT, template=POD),
            workerGroupSpecs={
                "type": "array",
                "minItems": 1,
                "items": closed(
                    "groupName minReplicas maxReplicas rayStartParams template",
                    groupName=TEXT,
                    replicas=COUNT,
                    minReplicas=COUNT,
                    maxReplicas=COUNT,
                    numOfHosts=COUNT,
                    rayStartParams=TEXTS,
                    template=POD,
                ),
            },
        ),
    ),
)
"""KubeRay's v1 fields as documented, of the pods' only those that the manifest uses: the CRD itself is not at hand."""


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


@pytest.fixture
def launcher() -> dict[str, Any]:
    (config,) = documents("cluster.yaml")
    return config


@pytest.fixture
def claim() -> dict[str, Any]:
    return documents("rayjob.yaml")[0]


@pytest.fixture
def rayjob() -> dict[str, Any]:
    return documents("rayjob.yaml")[1]


def pods(rayjob: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = rayjob["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def pinned_ray() -> str:
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["constraint-dependencies"]
    (version,) = (pin.partition("==")[2] for pin in pins if pin.startswith("ray=="))
    return str(version)


def test_the_cluster_yaml_holds_to_rays_own_schema(launcher: dict[str, Any]) -> None:
    schema = json.loads((Path(ray.__path__[0]) / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(launcher, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(launcher | {"worker_count": 2}, schema)


@pytest.mark.parametrize("who", ["head", "worker"])
def test_ray_start_takes_every_option_of_the_cluster_yaml(launcher: dict[str, Any], who: str) -> None:
    command = shlex.split(launcher[f"{who}_start_ray_commands"][-1])
    assert command[:3] == ["RAY_AUTH_MODE=token", "ray", "start"]
    options = start.make_context("ray start", command[3:]).params
    assert options["head"] is (who == "head")
    assert "6379" in (str(options["port"]) if options["head"] else options["address"])


def test_the_rayjob_holds_to_the_documented_fields(rayjob: dict[str, Any]) -> None:
    jsonschema.validate(rayjob, RAYJOB)
    rayjob["spec"]["rayClusterSpec"]["authOption"] = {"mode": "token"}
    with pytest.raises(jsonschema.ValidationError, match="authOption"):
        jsonschema.validate(rayjob, RAYJOB)


def test_every_pod_of_the_rayjob_mounts_the_claim_at_one_path(claim: dict[str, Any], rayjob: dict[str, Any]) -> None:
    assert (claim["kind"], claim["spec"]["accessModes"]) == ("PersistentVolumeClaim", ["ReadWriteMany"])
    mounts = set()
    for pod in pods(rayjob):
        volumes = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]}
        (container,) = pod["containers"]
        mounts |= {(volumes[mount["name"]], mount["mountPath"]) for mount in container["volumeMounts"]}
    assert mounts == {(claim["metadata"]["name"], "/rfcx")}


def test_the_rayjobs_entrypoint_is_a_call_of_run_with_all_it_writes_on_the_mount(rayjob: dict[str, Any]) -> None:
    program, verb, *words = shlex.split(rayjob["spec"]["entrypoint"])
    assert (program, verb) == ("rfcx-study", "run")
    run = get_command(app).commands["run"]  # type: ignore[attr-defined]
    told = run.make_context("run", words).params
    assert told["address"] == "auto"
    for option in ("space", "data", "out", "cache"):
        assert str(told[option]).startswith("/rfcx/"), option
    assert [re.fullmatch(r"resources\.gpus=0\.\d+", setting) is not None for setting in told["settings"]] == [True]
    assert all("nvidia.com/gpu" in pod["containers"][0]["resources"]["limits"] for pod in pods(rayjob)[1:])


def test_the_manifests_name_the_ray_that_is_pinned(launcher: dict[str, Any], rayjob: dict[str, Any]) -> None:
    assert rayjob["spec"]["rayClusterSpec"]["rayVersion"] == pinned_ray()
    for name in ("cluster.yaml", "rayjob.yaml"):
        assert set(re.findall(r"ray\[default\]==([\d.]+)", (FOLDER / name).read_text())) == {pinned_ray()}
