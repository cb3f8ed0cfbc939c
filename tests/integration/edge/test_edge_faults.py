"""Whatever breaks, the load balancer goes on with what worked last, and somebody can see why."""

from __future__ import annotations

import socket

from tests.integration.edge.stage import Stage
from tests.integration.edge.traffic import flowing

HOSTS = "{% for each in pools.crawler_http.members %}{{ each.id }}\n{% endfor %}"


async def test_the_last_good_state_is_served_whatever_breaks(nginx: Stage) -> None:
    stage = nginx
    template = stage.folder / "hosts.j2"
    template.write_text(HOSTS)
    hosts = stage.folder / "hosts"
    stage.toml.write_text(
        f'{stage.toml.read_text()}verify_s = 1.0\n[edge.targets.hosts]\nkind = "template"\n'
        f'file = "{hosts}"\ntemplate = "{template}"\n'
    )
    for name in "abc":
        stage.start_server(name)
    stage.start_door()
    stage.start_edge()
    await stage.members("a", "b", "c")
    good = stage.file.read_bytes()
    main, text = stage.main, stage.main.read_text()
    async with flowing(stage.url, stage.address, per_s=50, calls_per_s=0) as (http, _):
        # A port that is taken: nginx -t says nothing of that, and its old workers go on.
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            listen = f"http {{\n    server {{ listen 127.0.0.1:{port}; }}\n"
            main.write_text(text.replace("http {\n", listen))
            template.write_text("{{ pools.gone.members }}")
            stage.start_server("d")
            came = "target nginx: the new configuration did not come up"
            why = f"bind() to 127.0.0.1:{port} failed (98: Address already in use)"
            await stage.says(came, why, "the last good one is back and live")
            await stage.says("target hosts: template", "has no attribute 'gone'")
            assert stage.file.read_bytes() == good
            assert hosts.read_text().count("\n") == 3
            assert await stage.figure('crawler_edge_in_step{target="nginx"}') == 0.0
            assert await stage.figure('crawler_edge_rollbacks_total{target="nginx"}') >= 1.0
            # The whole configuration is broken, elsewhere than in what the edge writes.
            main.write_text(text.replace("http {\n", "http {\n    nonsense on;\n"))
            await stage.says("target nginx: `", 'unknown directive "nonsense"')
        main.write_text(text)
        template.write_text(HOSTS)
        await stage.members("a", "b", "c", "d")  # without any news from the registry

        # The registry goes, for longer than anybody's lease, and comes back empty.
        with_d = stage.file.read_bytes()
        stage.etcd.kill()
        await stage.says("registry: stale")
        assert await stage.figure("crawler_edge_stale") == 1.0
        stage.edge_dies()
        stage.file.unlink()
        stage.start_edge()
        await stage.says("registry: stale", "target nginx: in step")
        assert stage.file.read_bytes() == with_d
        stage.etcd.wipe()
        stage.etcd.start()
        await stage.says("members: crawler_grpc: 4 of 4 members vanished")
        assert stage.file.read_bytes() == with_d
        assert await stage.figure('crawler_edge_held{pool="crawler_http"}') == 1.0
        await stage.says("registry: read up to revision")
        assert await stage.ready()
    assert not http.failures, http.failures


async def test_haproxy_is_not_reloaded_where_a_port_is_taken(haproxy: Stage) -> None:
    stage = haproxy
    stage.toml.write_text(f"{stage.toml.read_text()}verify_s = 1.0\n")
    stage.start_server("a")
    stage.start_door()
    stage.start_edge()
    await stage.members("a")
    good, main = stage.file.read_bytes(), stage.main.read_text()
    async with flowing(stage.url, stage.address, per_s=50, fresh=True) as (http, calls):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            front = f"frontend taken\n    bind 127.0.0.1:{taken.getsockname()[1]}\n"
            stage.main.write_text(f"{main}\n{front}    default_backend crawler_http\n")
            stage.edge_dies()
            # Another health check is another structure, which only a reload brings.
            checked = stage.toml.read_text().replace('"http"', '"http"\ncheck = "/well"', 1)
            stage.toml.write_text(checked)
            stage.start_edge()
            await stage.says("target haproxy: 127.0.0.1:", "is taken by another program", "is back")
            assert stage.file.read_bytes() == good
        await stage.says("target haproxy: in step")  # the port is free again; without any news
        assert b"option httpchk GET /well" in stage.file.read_bytes()
    assert not http.failures, http.failures
    assert not calls.failures, calls.failures


async def test_once_says_by_its_exit_code_what_it_did(haproxy: Stage) -> None:
    stage = haproxy
    stage.start_door()
    inventory = stage.folder / "pools.json"
    stage.toml.write_text(
        f'{stage.toml.read_text()}pools = ["crawler_http", "crawler_grpc"]\n'
        '[edge.pools.webapp]\nprefix = "/work/ips/"\nport = 80\n[edge.targets.inventory]\n'
        f'kind = "json"\nfile = "{inventory}"\npools = ["webapp"]\n'
    )
    stage.etcd.ctl("put", "/work/ips/10.0.0.7", "")
    nobody = stage.file.read_bytes()
    code, said = stage.edge_once("--once")
    assert (code, stage.file.read_bytes()) == (1, nobody)
    assert "nobody is registered for crawler_grpc, crawler_http" in said
    assert '"address": "10.0.0.7:80"' in inventory.read_text()  # the other target all the same
    stage.start_server("a")
    await stage.registered("a")
    remembered = (stage.folder / "state" / "members.json").read_bytes()
    code, said = stage.edge_once("--dry-run")
    assert (code, stage.file.read_bytes()) == (2, nobody)
    assert (stage.folder / "state" / "members.json").read_bytes() == remembered
    assert "+    server go.micro.server.master-a 127.0.0.1:" in said
    code, said = stage.edge_once("--once")
    assert (code, said) == (2, "target haproxy: adjusted\n")
    assert stage.edge_once("--once") == (0, "")
    with_a = stage.file.read_bytes()
    stage.etcd.kill()
    code, said = stage.edge_once("--once", "--log-level=error")
    assert (code, stage.file.read_bytes()) == (1, with_a)
    assert "etcd did not take the call" in said
