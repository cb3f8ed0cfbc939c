"""Nodes and the edge under a real systemd: kept, watched, stopped in order, taken out again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from crawler.coordination.registry import node_record, registry_key
from crawler.edge.starting import Wish, nginx_files
from crawler.model import MASTER_SERVICE, Node
from crawler.ops.files import File
from crawler.ops.units import EDGE, ROLES, unit, unit_name
from tests.lab.machine import PROGRAM, PYTHON, Machine

TTL_S = 3
WATCHDOG_S = 3
GRACE_S = 40  # until a node of ours is up again, on a machine that has much else to do
MASTER, WORKER, EDGE_UNIT = "crawler-master@1", "crawler-worker@1", "crawler-edge"
AUTHORITY_KEY = "/etc/crawler/tls/ca.key"
SETTINGS = f'ttl = {TTL_S}\nsecret = "/etc/crawler/secret"\n'
SECRET = "0123456789abcdef" * 4
KEYS = "/etc/crawler-keys"
# What the documents tell operators to write, for each role.
CREDENTIALS = f"""
[Service]
LoadCredential=tls.pem:{KEYS}/%p-%i.pem
LoadCredential=tls.key:{KEYS}/%p-%i.key
Environment=CRAWLER_TLS_CERT=%d/tls.pem CRAWLER_TLS_KEY=%d/tls.key
"""
SQUATTER = "import socket, time; held = socket.create_server(('127.0.0.1', 8080)); time.sleep(600)"
NGINX = "pid /run/nginx.pid; events {}"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """With etcd, units, and settings for a quick test; nothing of ours runs yet."""
    with Machine() as running:
        start_etcd(running)
        running.run(PROGRAM, "install", "systemd", "--nginx", f"--program={PROGRAM}")
        running.write("/etc/crawler/crawler.toml", SETTINGS)
        running.write("/etc/crawler/secret", SECRET)
        running.write(AUTHORITY_KEY, "")
        quick = "CRAWLER_PROCESSES=1\nCRAWLER_ALLOW_PRIVATE=127.0.0.0/8\n"
        running.write("/etc/crawler/worker-1.env", quick)
        for role in ROLES:
            drop_in = f"/etc/systemd/system/crawler-{role}@.service.d/quick.conf"
            running.write(drop_in, f"[Service]\nWatchdogSec={WATCHDOG_S}\n")
        running.run("systemctl", "daemon-reload")
        yield running


def start_etcd(machine: Machine) -> None:
    """Once more, too, with what it had."""
    machine.run("systemd-run", "--unit=lab-etcd", "--property=Type=notify", "/usr/bin/etcd",
        "--data-dir=/var/lib/etcd", "--log-level=error", "--logger=zap")  # fmt: skip


def restarts(machine: Machine, unit: str) -> int:
    return int(machine.show(unit, "NRestarts"))


def started_anew(machine: Machine, unit: str, before: int) -> bool:
    return restarts(machine, unit) > before and machine.show(unit, "ActiveState") == "active"


def is_active(machine: Machine, unit: str) -> bool:
    return machine.show(unit, "ActiveState") == "active"


def untouched(machine: Machine) -> tuple[str, str]:
    """What changes with a reload of nginx, and with a list that is written: its workers, and the
    file."""
    pid = machine.show("nginx", "MainPID")
    workers = machine.run("cat", f"/proc/{pid}/task/{pid}/children")
    return workers, machine.run("stat", "--format=%i %Y", "/etc/nginx/upstreams.conf")


@pytest.mark.parametrize("role", [*ROLES, EDGE])
def test_units_expose_little(role: str, tmp_path: Path) -> None:
    file: File = unit(role, Path("/usr/bin/true"))
    (tmp_path / file.path.name).write_text(file.text)
    # Tenths, of 100: what systemd calls OK ends at 4.9.
    most = {"master": 20, "worker": 25, "edge": 30}[role]
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={most}", file.path.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


def test_keys_that_are_root_s_reach_nodes_as_credentials(machine: Machine) -> None:
    nodes = [MASTER, "crawler-master@2", WORKER]
    machine.run(PROGRAM, "certs", KEYS, *(each.replace("@", "-") for each in nodes))
    machine.run("cp", f"{KEYS}/ca.pem", "/etc/crawler/ca.pem")
    machine.write("/etc/crawler/crawler.toml", f'{SETTINGS}tls_ca = "/etc/crawler/ca.pem"\n')
    machine.write("/etc/crawler/master-2.env", "CRAWLER_HTTP=:8082\nCRAWLER_GRPC=:9092\n")
    drop_ins = [f"/etc/systemd/system/crawler-{role}@.service.d/tls.conf" for role in ROLES]
    for each in drop_ins:
        machine.write(each, CREDENTIALS)
    machine.run("systemctl", "daemon-reload")

    # A port that another program has: it is tried again until that one is gone.
    machine.run("systemd-run", "--unit=squatter", PYTHON, "-c", SQUATTER)
    with pytest.raises(RuntimeError):
        machine.run("systemctl", "start", WORKER)
    machine.wait(lambda: restarts(machine, WORKER) > 1, "second try", GRACE_S)
    assert "8080: cannot listen there: in use by another program" in machine.journal(WORKER)
    machine.run("systemctl", "stop", "squatter")
    machine.run("systemctl", "start", *nodes)
    for each in nodes:
        machine.wait(partial(is_active, machine, each), each, GRACE_S)

    # They speak TLS, to callers and to one another: one of the two masters sends on.
    for port in (8081, 8082):
        name = f'{{"name": "over-{port}"}}'
        url = f"https://127.0.0.1:{port}/crawler/resource"
        said = machine.run("curl", "--silent", "--cacert", "/etc/crawler/ca.pem", "-d", name, url)
        assert "go.micro.server.worker-1" in said
    assert 'hop": 1' in machine.journal(nodes[0]) + machine.journal(nodes[1])
    doctor = [PROGRAM, "doctor", "--config=/etc/crawler/crawler.toml"]
    doctor += ["--master=https://127.0.0.1:8081,https://127.0.0.1:8082"]
    said = machine.run("sh", "-c", '"$@" || test $? = 1', "sh", *doctor)  # etcd has one member
    assert said.count(": it is ready") == 2
    assert "failed 0" in said

    # A secret that is replaced counts once the services may read it.
    machine.run(
        "install", "-m600", "/dev/stdin", "/etc/crawler/secret", text=f"new{SECRET}\n{SECRET}"
    )
    refused = '"secrets not renewed"'
    machine.wait(lambda: refused in machine.journal(WORKER), "look at the secret", GRACE_S)
    machine.run("systemd-tmpfiles", "--create", "crawler.conf")
    renewed = '"secrets renewed"'
    machine.wait(lambda: renewed in machine.journal(WORKER), "new secret", GRACE_S)

    machine.run("systemctl", "stop", *nodes)
    machine.run("rm", *drop_ins)
    machine.write("/etc/crawler/crawler.toml", SETTINGS)
    machine.run("systemctl", "daemon-reload")


def test_nodes_are_kept_watched_and_taken_out_again(machine: Machine) -> None:
    # It is started once it takes part, as a user that is not root and owns one directory.
    machine.run("systemctl", "start", MASTER, WORKER)
    assert machine.show(WORKER, "StatusText") == "crawls 0, pages in work 0"
    machine.wait(lambda: machine.show(MASTER, "StatusText") == "leads", "leader", 2 * TTL_S)
    pid = machine.show(MASTER, "MainPID")
    assert machine.run("stat", "--format=%u", f"/proc/{pid}").strip() != "0"
    assert "others on this machine can use" not in machine.journal(MASTER)
    assert machine.run("stat", "--format=%a %U", AUTHORITY_KEY).strip() == "600 root"
    database = "/var/lib/private/crawler/crawler.db"
    assert machine.run("stat", "--format=%a", database).strip() == "600"

    # A node that dies is started anew; one that hangs is found by its watchdog.
    killed = restarts(machine, WORKER)
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", WORKER)
    machine.wait(lambda: started_anew(machine, WORKER, killed), "restart", GRACE_S)
    idle = machine.show(WORKER, "MainPID")
    hung = restarts(machine, MASTER)
    machine.run("kill", "-STOP", machine.show(MASTER, "MainPID"))
    limit_s = WATCHDOG_S + GRACE_S
    took_s = machine.wait(lambda: started_anew(machine, MASTER, hung), "restart", limit_s)
    assert took_s > WATCHDOG_S / 2
    for said in ("Watchdog timeout", "Fatal Python error: Aborted"):  # and what each thread did
        assert said in machine.journal(MASTER)
    # All the while the worker had nothing to do, and gave its signs.
    assert machine.show(WORKER, "MainPID") == idle
    assert machine.show(MASTER, "NRestarts") == str(hung + 1)

    # A stop is a drain of what is being crawled, and no failure.
    site = ("-m", "crawler.local.site", "--port=8000", "--log=/run/hits", "--products=300")
    machine.run("systemd-run", "--unit=site", PYTHON, *site)
    machine.run(
        PROGRAM, "apply", "http://127.0.0.1:8000/", "--name=shop", "-s", "download_delay=0.1"
    )
    machine.wait(lambda: "crawls 1" in machine.show(WORKER, "StatusText"), "crawl", GRACE_S)
    machine.run("systemctl", "stop", WORKER)
    assert machine.show(WORKER, "Result") == "success"
    assert machine.show(WORKER, "ExecMainStatus") == "0"
    assert '"draining", "jobs": 1' in machine.journal(WORKER)

    # Wrong settings end it for good, with the reason.
    machine.write("/etc/crawler/worker-1.env", "CRAWLER_TTL=x\n")
    with pytest.raises(RuntimeError):
        machine.run("systemctl", "start", WORKER)
    assert machine.show(WORKER, "ActiveState") == "failed"
    assert "CRAWLER_TTL: expected a whole number" in machine.journal(WORKER)

    machine.run("systemctl", "enable", MASTER)
    said = machine.run(PROGRAM, "uninstall", "systemd")
    assert "removed   /etc/systemd/system/crawler-master@.service" in said
    assert machine.show(MASTER, "LoadState") == "not-found"
    assert machine.show(MASTER, "ActiveState") == "inactive"
    assert machine.run("ls", database, "/etc/crawler/crawler.toml")
    assert not machine.run("find", "/etc/systemd", "-name", "crawler-*.service")


def test_an_nginx_that_dies_is_started_anew(machine: Machine) -> None:
    machine.write("/etc/nginx/nginx.conf", NGINX)
    machine.run("mkdir", "-p", "/var/log/nginx", "/var/lib/nginx")
    machine.run(PROGRAM, "install", "systemd", "--nginx", f"--program={PROGRAM}")
    machine.run("systemctl", "start", "nginx")
    before = restarts(machine, "nginx")
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", "nginx")
    machine.wait(lambda: started_anew(machine, "nginx", before), "restart", GRACE_S)


def test_the_edge_writes_checks_and_reloads_with_few_rights(machine: Machine) -> None:
    machine.run("mkdir", "-p", "/var/log/nginx", "/var/lib/nginx")
    machine.run("chown", "33", "/var/log/nginx", "/var/lib/nginx")  # nginx's own user
    files = nginx_files(Wish(Path("/etc/nginx"), "127.0.0.1:80"))
    for name, text in files.items():
        machine.write(f"/etc/nginx/{name}", text)
    machine.write("/etc/crawler/edge.toml", files["edge.toml"])
    drop_in = "/etc/systemd/system/crawler-edge.service.d/quick.conf"
    machine.write(drop_in, f"[Service]\nWatchdogSec={WATCHDOG_S}\n")
    said = machine.run(PROGRAM, "install", "systemd", "--role=edge", f"--program={PROGRAM}")
    assert "systemctl enable --now crawler-edge" in said
    machine.run("systemctl", "restart", "nginx")
    machine.run("systemctl", "start", EDGE_UNIT)
    # It is started, and says what is wrong: no master was ever there.
    assert "nobody is registered for crawler_" in machine.show(EDGE_UNIT, "StatusText")
    place = {"crawler": "1", "http": "127.0.0.1:8099"}
    node = Node(f"{MASTER_SERVICE}-9", MASTER_SERVICE, "127.0.0.1:9099", place)
    machine.run("etcdctl", "put", registry_key(node), text=node_record(node).decode())

    def in_step() -> bool:
        return machine.show(EDGE_UNIT, "StatusText") == "in step: nginx"

    machine.wait(in_step, "nginx that was reloaded", GRACE_S)
    assert "server 127.0.0.1:8099 " in machine.run("cat", "/etc/nginx/upstreams.conf")
    before = untouched(machine)

    # An edge that dies is started anew, and so is one that hangs.
    for signal, limit_s in (("KILL", GRACE_S), ("STOP", WATCHDOG_S + GRACE_S)):
        count = restarts(machine, EDGE_UNIT)
        machine.run("kill", f"-{signal}", machine.show(EDGE_UNIT, "MainPID"))
        again = partial(started_anew, machine, EDGE_UNIT, count)
        machine.wait(again, "restart", limit_s)
        machine.wait(in_step, "edge in step", GRACE_S)
    assert "Watchdog timeout" in machine.journal(EDGE_UNIT)

    # While etcd is away it says so, in its status and in figures.
    machine.run("systemctl", "stop", "lab-etcd")
    lost = "the registry cannot be read, and what was last known stays; in step: nginx"
    machine.wait(lambda: machine.show(EDGE_UNIT, "StatusText") == lost, "words on that", GRACE_S)
    figures = machine.run("curl", "--silent", "http://127.0.0.1:8079/metrics")
    assert "\ncrawler_edge_stale 1.0\n" in figures
    start_etcd(machine)
    machine.wait(in_step, "registry that is read again", GRACE_S)
    assert untouched(machine) == before, "nginx was reloaded, or its list written"
    machine.run("systemctl", "reload", EDGE_UNIT)
    machine.run("systemctl", "enable", EDGE_UNIT)
    for role in ROLES:  # it is the only one of ours, then
        machine.run("rm", "-f", f"/etc/systemd/system/{unit_name(role)}")
    said = machine.run(PROGRAM, "uninstall", "systemd")
    assert "removed   /etc/systemd/system/crawler-edge.service" in said
    assert machine.show(EDGE_UNIT, "LoadState") == "not-found"
    assert "looking at everything again" in machine.journal(EDGE_UNIT)
    assert "Deactivated successfully" in machine.journal(EDGE_UNIT)
