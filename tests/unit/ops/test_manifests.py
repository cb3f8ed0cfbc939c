"""The files for containers agree with one another, and with what nodes offer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from crawler.config import master_config, worker_config

ETC = Path(__file__).parents[3] / "etc"
KUBERNETES = ETC / "kubernetes"


def objects() -> Iterator[dict[str, Any]]:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    files = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == files
    for name in sorted(files):
        yield from yaml.safe_load_all((KUBERNETES / name).read_text())


def test_whatever_selects_pods_selects_those_that_there_are() -> None:
    pods = {}
    selected = set()
    for each in objects():
        spec = each["spec"]
        if "template" in spec:
            labels = spec["template"]["metadata"]["labels"]
            assert spec["selector"]["matchLabels"] == labels
            pods[each["metadata"]["name"]] = labels["app"]
        elif "scaleTargetRef" in spec:
            assert spec["scaleTargetRef"]["name"] in pods | {"crawler-worker": ""}
        else:
            selector = spec.get("selector") or spec["podSelector"]
            selected.add(selector.get("matchLabels", selector)["app"])
    assert selected == set(pods.values()) == {"crawler-master", "crawler-worker"}


def test_pods_may_do_little_and_are_asked_how_they_are() -> None:
    for each in objects():
        if "template" not in each["spec"]:
            continue
        pod = each["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        (container,) = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_settings_are_those_that_nodes_take() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    literals = kustomization["configMapGenerator"][0]["literals"]
    given = dict(each.split("=", 1) for each in literals)
    compose = yaml.safe_load((ETC / "container" / "compose.yml").read_text())
    for environ in (
        {**given, "CRAWLER_PODIP": "10.244.0.7", "CRAWLER_STORE": "postgresql://u@h/d"},
        compose["services"]["master-1"]["environment"],
    ):
        assert len(master_config({}, environ).etcd) == 3
        assert worker_config({}, environ).insecure


def test_parts_of_the_composition_start_in_order() -> None:
    services = yaml.safe_load((ETC / "container" / "compose.yml").read_text())["services"]
    needs = {name: set(each.get("depends_on", ())) for name, each in services.items()}
    assert len(services) == 3 + 1 + 3 + 3 + 1
    started: set[str] = set()
    while ready := {name for name in needs if name not in started and needs[name] <= started}:
        started |= ready
    assert started == set(services)
