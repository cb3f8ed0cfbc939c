"""The files for containers agree with one another, and with what nodes offer."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from crawler import __version__
from crawler.app.node import describe_node
from crawler.cli.main import run_command
from crawler.clock import SystemClock
from crawler.config import edge_config, master_config, worker_config
from crawler.coordination.etcd import KeyValue
from crawler.coordination.registry import node_record, registry_key
from crawler.edge.members import read_members
from crawler.edge.memory import Memory
from crawler.edge.plan import read_plan
from crawler.edge.settings import DEFAULT_POOLS
from crawler.model import MASTER_SERVICE

ETC = Path(__file__).parents[3] / "etc"
KUBERNETES = ETC / "kubernetes"
CONTAINER = ETC / "container"
MASTERS = {"master-1", "master-2", "master-3"}


def composition() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((CONTAINER / "compose.yml").read_text())["services"]
    return services


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
    for environ in (
        {**given, "CRAWLER_PODIP": "10.244.0.7", "CRAWLER_STORE": "postgresql://u@h/d"},
        composition()["master-1"]["environment"],
    ):
        assert len(master_config({}, environ).etcd) == 3
        assert worker_config({}, environ).insecure


def test_the_image_is_of_this_version() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    assert kustomization["images"][0]["newTag"] == __version__


def test_parts_of_the_composition_start_in_order() -> None:
    services = composition()
    needs = {name: set(each.get("depends_on", ())) for name, each in services.items()}
    assert len(services) == 3 + 1 + 3 + 3 + 1
    started: set[str] = set()
    while ready := {name for name in needs if name not in started and needs[name] <= started}:
        started |= ready
    assert started == set(services)


def test_the_entry_of_the_composition_finds_the_masters_as_they_register() -> None:
    services = composition()
    entry = services["nginx"]
    records = []
    for name in sorted(MASTERS):
        service = services[name]
        _, *options = service["command"]
        given = dict(each.removeprefix("--").split("=") for each in options)
        config = master_config(given, service["environment"])
        assert config.etcd == edge_config({}, entry["environment"]).etcd
        node = describe_node(config, MASTER_SERVICE, config.grpc, config.http, SystemClock())
        records.append(KeyValue(registry_key(node), node_record(node), 1, 1, 1))
        assert set(service["networks"]) & set(entry["networks"])
    assert set(services["etcd-1"]["networks"]) & set(entry["networks"])
    for pool, port in (("crawler_http", 8080), ("crawler_grpc", 9090)):
        found = read_members(DEFAULT_POOLS[pool], records)
        assert {(each.name, each.port) for each in found.members} == {(m, port) for m in MASTERS}


def commands_of_the_entry() -> tuple[list[str], list[str]]:
    """What its script has `crawler` do: the words of the installation, and of the edge."""
    script = (CONTAINER / "entry.sh").read_text().replace("\\\n", "")
    lines = re.findall(r"^ *crawler (.*?)(?: \"\$@\"| \|\| :)$", script, re.MULTILINE)
    install, keep = map(shlex.split, lines)
    return install, keep


def test_the_entry_listens_where_it_is_reached_and_writes_where_it_may(tmp_path: Path) -> None:
    entry, dockerfile = composition()["nginx"], (CONTAINER / "Dockerfile").read_text()
    install, keep = commands_of_the_entry()
    place = install.index("--to") + 1
    temporary = {Path(each) for each in entry["tmpfs"]}
    assert Path(install[place]).parent in temporary
    assert run_command([*install[:place], str(tmp_path), *install[place + 1 :]]) == 0
    nginx = (tmp_path / "nginx.conf").read_text()
    listens = set(re.findall(r"listen 0\.0\.0\.0:(\d+)", nginx))
    assert listens == {each.rpartition(":")[2] for each in entry["ports"]}
    assert set(re.findall(r"http://127\.0\.0\.1:(\d+)/readyz", dockerfile)) <= listens
    # By default nginx keeps bodies of requests below /var/lib/nginx.
    pid = re.search(r"^pid (\S+);", nginx, re.MULTILINE)
    assert pid is not None
    assert {Path(pid[1]).parent, Path("/var/lib/nginx")} <= temporary
    assert "ln -s /dev/stderr /var/log/nginx/error.log" in dockerfile
    # The edge goes by what was written, and remembers in a volume of the image.
    assert keep[keep.index("--config") + 1] == f"{install[place]}/edge.toml"
    state = Path(keep[keep.index("--state") + 1])
    assert state.parent == Path("/var/lib/crawler")
    kept = Memory(state, frozen=True).kept("nginx", "nginx")
    assert f"kept={kept}\n" in (CONTAINER / "entry.sh").read_text()
    given = {"config": str(tmp_path / "edge.toml")}
    (target,) = read_plan(edge_config(given, entry["environment"])).targets.values()
    assert target.kind == "nginx"
