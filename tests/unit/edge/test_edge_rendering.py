"""What is written for each load balancer: the same pools, the same bytes."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from crawler.clock import SystemClock
from crawler.edge.documents import json_document, template_document
from crawler.edge.haproxy import Haproxy
from crawler.edge.keepalived import Keepalived
from crawler.edge.keepalived import stand_in as keepalived_stand_in
from crawler.edge.keeper import select_pools
from crawler.edge.members import Backends, Member
from crawler.edge.nginx import Nginx, stand_in
from crawler.edge.ports import places, refuse_taken
from crawler.edge.runtime import Server
from crawler.edge.settings import (
    DEFAULT_POOLS,
    HaproxyTarget,
    JsonTarget,
    KeepalivedTarget,
    NginxTarget,
    Pool,
    TemplateTarget,
)
from crawler.edge.target import Live, unified_diff
from crawler.errors import OutOfStep
from crawler.model import MASTER_SERVICE

ONE, TWO, SIX = (
    Member("m1", "10.0.0.1", 80),
    Member("m2", "10.0.0.2", 80),
    Member("m6", "fd::6", 80),
)
HTTP = Pool(service=MASTER_SERVICE, leader=True)
FILE = Path("/etc/x/list.conf")


def nginx(backends: Backends) -> str:
    target = NginxTarget(kind="nginx", file=FILE)
    return Nginx("n", target).render({"web": backends}).decode()


def haproxy(backends: Backends) -> str:
    target = HaproxyTarget(kind="haproxy", file=FILE, configs=(FILE,))
    return Haproxy("h", target, SystemClock()).render({"web": backends}).decode()


def test_nginx_rests_who_drains_and_never_all() -> None:
    text = nginx(Backends(HTTP, (ONE, replace(TWO, draining=True), SIX)))
    assert "server 10.0.0.1:80 max_fails=0;  # m1\n" in text
    assert "server 10.0.0.2:80 max_fails=0 down;  # m2\n" in text
    assert "server [fd::6]:80 max_fails=0;  # m6\n" in text
    alone = nginx(Backends(HTTP, (replace(TWO, draining=True),)))
    assert "server 10.0.0.2:80 max_fails=0;" in alone


def test_what_may_change_something_goes_to_the_leader_and_to_all_while_there_is_none() -> None:
    text = nginx(Backends(HTTP, (ONE, TWO), leader="m2"))
    own = text.partition("upstream web_leader {")[2].partition("}")[0]
    assert "server 10.0.0.2:80 max_fails=0;" in own
    assert "server 10.0.0.1:80 max_fails=0 backup;" in own
    route = "$web_route { default web_leader; GET web; HEAD web; OPTIONS web; }"
    assert route in text
    assert "$web_route { default web; }" in nginx(Backends(HTTP, (ONE, TWO)))
    assert "use-server m2 unless METH_GET or METH_OPTIONS" in haproxy(
        Backends(HTTP, (ONE, TWO), leader="m2")
    )


def test_a_change_of_members_keeps_haproxys_structure() -> None:
    def mark(text: str) -> str:
        return text.partition("backend crawler-edge-")[2][:16]

    one, two = haproxy(Backends(HTTP, (ONE,))), haproxy(Backends(HTTP, (ONE, TWO)))
    assert one != two
    assert mark(one) == mark(two) != mark(haproxy(Backends(HTTP, (ONE,), leader="m1")))


async def test_nginx_is_quoted_where_its_log_says_why_it_did_not_take_a_reload(
    tmp_path: Path,
) -> None:
    main, log = tmp_path / "nginx.conf", tmp_path / "error.log"
    main.write_text(f"  error_log {log} warn;\n")
    line = "2026/11/30 20:00:00 [emerg] 7#7: bind() to 0.0.0.0:{} failed (98: Address in use)"
    log.write_text(f"{line.format(1)}\n")
    says = f"printf '{line.format(2)}\\n{line.format(2)}\\n' >>{log}"
    target = NginxTarget(kind="nginx", file=FILE, main=main, reload=("sh", "-c", says))
    one = Nginx("n", target)
    assert one.complaint() == ""
    await one.take(b"")
    assert one.complaint() == "bind() to 0.0.0.0:2 failed (98: Address in use)"
    main.write_text("events {}\n")
    await one.take(b"")
    assert one.complaint() == ""


async def test_of_what_others_wrote_nobody_can_say_whether_it_is_live() -> None:
    target = NginxTarget(kind="nginx", file=FILE)
    assert await Nginx("n", target).state(b"upstream a {}\n") is Live.UNKNOWN
    other = HaproxyTarget(kind="haproxy", file=FILE, configs=(FILE,))
    assert await Haproxy("h", other, SystemClock()).state(b"backend a\n") is Live.UNKNOWN


def test_grpc_is_spoken_by_h2_and_asked_how_it_is_by_http() -> None:
    member = replace(ONE, check_port=8081)
    text = haproxy(Backends(DEFAULT_POOLS["crawler_grpc"], (member,)))
    assert "server m1 10.0.0.1:80 weight 1 check port 8081 proto h2 check-proto h1 inter" in text


def test_a_server_is_as_its_line_says() -> None:
    line = "10.0.0.1:80 weight 1 check port 81"
    server = Server("10.0.0.1", 80, 81, 1, 0)
    assert server.fits(line)
    assert not replace(server, weight=0).fits(line)
    assert not replace(server, admin_state=8).fits(line)
    assert replace(server, admin_state=8).leaves


def test_a_door_to_nobody_is_made_only_where_that_is_allowed() -> None:
    pools = {"web": Backends(HTTP, ()), "other": Backends(HTTP, (ONE,))}
    with pytest.raises(OutOfStep, match="nobody is registered for web"):
        select_pools(pools, ())
    assert list(select_pools(pools, ("other",))) == ["other"]
    free = Backends(HTTP.model_copy(update={"allow_empty": True}), ())
    assert select_pools({"web": free}, ())
    assert "server 127.0.0.1:9 down;" in nginx(free)


def test_the_whole_configuration_is_checked_with_the_staged_file(tmp_path: Path) -> None:
    etc, staged, folder = tmp_path / "etc", tmp_path / "staged", tmp_path / "copy"
    for each in (etc / "conf.d", folder):
        each.mkdir(parents=True)
    main, site = etc / "nginx.conf", etc / "conf.d" / "site.conf"
    file = etc / "lists" / "web.conf"
    site.write_text(f'include "{file}"; # include {file};\n')
    main.write_text(
        "# include conf.d/*.conf;\nhttp { include mime.types; include conf.d/*.conf; }\n"
    )
    copy = stand_in(main, file, staged, folder)
    text = copy.read_text()
    assert text.startswith("# include conf.d/*.conf;\nhttp { include mime.types; include ")
    below = Path(text.split("include ")[-1].partition(";")[0])
    assert below.read_text() == f"include {staged}; # include {file};\n"
    assert (folder / "conf.d").is_symlink()
    assert site.read_text().startswith("include")
    site.write_text("")
    with pytest.raises(OutOfStep, match="does not include"):
        stand_in(main, file, staged, fresh(tmp_path))


def fresh(tmp_path: Path) -> Path:
    folder = tmp_path / "another"
    folder.mkdir()
    return folder


def test_documents(tmp_path: Path) -> None:
    pools = {"web": Backends(HTTP, (ONE, TWO), leader="m2")}
    data = json_document(JsonTarget(kind="json", file=FILE)).render(pools)
    assert b'"leader": "m2"' in data
    template = tmp_path / "hosts.j2"
    target = TemplateTarget(kind="template", file=FILE, template=template)
    document = template_document(target)
    template.write_text(
        "{% for each in pools.web.members %}\n{{ each.host }} {{ each.id }}\n{% endfor %}\n"
    )
    assert document.render(pools) == b"10.0.0.1 m1\n10.0.0.2 m2\n"
    for broken, said in (
        ("{{ pools.wbe.members }}", "has no attribute 'wbe'"),
        ("{% for %}", "line 1"),
        ("{{ ().__class__.__base__.__subclasses__() }}", "unsafe"),
        ("{{ 1 / 0 }}", "division"),
    ):
        template.write_text(broken)
        with pytest.raises(OutOfStep, match=said):
            document.render(pools)


def test_a_diff_is_unified() -> None:
    assert unified_diff(b"a\nb\n", b"a\nc\n", "f").splitlines()[:2] == ["--- f", "+++ f (new)"]


def test_a_port_that_another_program_has_is_seen_and_ones_own_is_not(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as shared:
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind(("127.0.0.1", 0))
        shared.listen()
        own, other = shared.getsockname()[1], taken.getsockname()[1]
        config.write_text(f"frontend a\n bind 127.0.0.1:{own} ssl crt x\n bind unix@/x,fd@3\n")
        refuse_taken([config])
        config.write_text(f"frontend a\n bind :80-90,name:81,127.0.0.1:{other}\n")
        with pytest.raises(OutOfStep, match=f"127.0.0.1:{other} .* is taken by another program"):
            refuse_taken([config])
    refuse_taken([config])
    assert list(places("bind *:80\n  bind [fd::1]:81,ipv4@10.0.0.1:82 # bind :83\n")) == [
        ("0.0.0.0", 80),
        ("fd::1", 81),
        ("10.0.0.1", 82),
    ]


def keepalived(backends: Backends, **more: object) -> str:
    given = {"kind": "keepalived", "file": FILE, "virtual": {"web": "10.9.0.1:80"}, **more}
    target = KeepalivedTarget.model_validate(given)
    return Keepalived("k", target, SystemClock()).render({"web": backends}).decode()


def test_keepalived_rests_who_drains_and_asks_where_it_can() -> None:
    text = keepalived(Backends(HTTP, (ONE, replace(TWO, draining=True, check_port=81))))
    assert "virtual_server 10.9.0.1 80 {" in text
    assert "real_server 10.0.0.1 80 {  # m1\n        weight 1\n        HTTP_GET {" in text
    assert "real_server 10.0.0.2 80 {  # m2\n        weight 0\n" in text
    assert text.count("path /healthz") == 2
    assert text.count("connect_port 81") == 1
    encrypted = Pool(service=MASTER_SERVICE, tls_ca=Path("/ca.pem"))
    assert "TCP_CHECK" in keepalived(Backends(encrypted, (ONE,)))
    # keepalived takes no virtual server without real ones.
    nobody = keepalived(Backends(HTTP, ()))
    assert "virtual_server" not in nobody
    assert "# Nobody is in web." in nobody


def test_keepalived_refuses_what_the_kernel_would_not_pass_on() -> None:
    with pytest.raises(OutOfStep, match=r"m6: fd::6 and 10\.9\.0\.1 are not of the same kind"):
        keepalived(Backends(HTTP, (SIX,)))
    other = replace(ONE, port=8080)
    with pytest.raises(OutOfStep, match="m1: it serves at port 8080, and DR passes on to 80"):
        keepalived(Backends(HTTP, (other,)), method="DR")
    assert "lb_kind NAT" in keepalived(Backends(HTTP, (other,)))


def test_keepalived_is_asked_about_all_that_it_includes(tmp_path: Path) -> None:
    main, lists, copies = tmp_path / "k.conf", tmp_path / "lists", tmp_path / "copies"
    lists.mkdir()
    copies.mkdir()
    (lists / "a.conf").write_text("# theirs\n")
    file, staged = lists / "b.conf", tmp_path / "staged"
    main.write_text("include other.conf\ninclude lists/*.conf\n")
    text = keepalived_stand_in(main, file, staged, copies).read_text()
    assert text.startswith(f"include other.conf\ninclude {lists}/a.conf\ninclude {staged}\n")
