"""The files that an entry begins with: a load balancer's own, commented, and the edge's.

What is set, and why, was measured: with these settings no request failed while servers were killed,
added and removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crawler.clock import SystemClock
from crawler.edge.haproxy import Haproxy
from crawler.edge.members import Backends
from crawler.edge.nginx import Nginx
from crawler.edge.settings import DEFAULT_POOLS, HaproxyTarget, NginxTarget


@dataclass(frozen=True, slots=True)
class Wish:
    """Where the files will be, where the entry listens, and where etcd is. ``generation``: see
    `NginxTarget`; ``socket``: see `HaproxyTarget`."""

    directory: Path
    http: str = "127.0.0.1:8000"
    grpc: str = "127.0.0.1:9000"
    etcd: Sequence[str] = ("http://127.0.0.1:2379",)
    state: Path = Path("/var/lib/crawler-edge")
    generation: str = "127.0.0.1:8790"
    socket: Path = Path("/run/haproxy/admin.sock")


def nginx_files(wish: Wish) -> dict[str, str]:
    """By name: ``nginx.conf``, ``edge.toml``, and the list to begin with, of nobody yet."""
    main, file = wish.directory / "nginx.conf", wish.directory / "upstreams.conf"
    target = NginxTarget(kind="nginx", file=file, main=main, generation=wish.generation)
    return {
        "nginx.conf": _NGINX.replace("@HTTP@", wish.http)
        .replace("@GRPC@", wish.grpc)
        .replace("@FILE@", str(target.file)),
        "upstreams.conf": Nginx("nginx", target).render(_nobody()).decode(),
        "edge.toml": _edge(
            wish,
            f"""[edge.targets.nginx]
kind = "nginx"
file = "{target.file}"  # written by the edge, included by main
main = "{target.main}"       # checked as a whole before anything is swapped in
# reload = ["systemctl", "reload", "nginx"]   # default: nginx -c MAIN -s reload
generation = "{target.generation}"  # where nginx says which generation is live; loopback only
""",
        ),
    }


def haproxy_files(wish: Wish) -> dict[str, str]:
    """By name: ``haproxy.cfg``, ``edge.toml``, and the backends to begin with, of nobody yet."""
    main, file = wish.directory / "haproxy.cfg", wish.directory / "backends.cfg"
    target = HaproxyTarget(kind="haproxy", file=file, configs=(main, file), socket=wish.socket)
    return {
        "haproxy.cfg": _HAPROXY.replace("@HTTP@", wish.http)
        .replace("@GRPC@", wish.grpc)
        .replace("@SOCKET@", str(target.socket))
        .replace("@MAIN@", str(target.configs[0]))
        .replace("@FILE@", str(target.file)),
        "backends.cfg": Haproxy("haproxy", target, SystemClock()).render(_nobody()).decode(),
        "edge.toml": _edge(
            wish,
            f"""[edge.targets.haproxy]
kind = "haproxy"
file = "{target.file}"  # written by the edge
configs = ["{target.configs[0]}", "{target.file}"]  # all that haproxy is started with, in order
socket = "{target.socket}"  # servers come and go through it, without a reload
reload = ["systemctl", "reload", "haproxy"]  # for whatever else changes
drain_s = 30.0  # how long what runs on a removed server may go on
""",
        ),
    }


def _nobody() -> dict[str, Backends]:
    return {name: Backends(pool, ()) for name, pool in DEFAULT_POOLS.items()}


def _edge(wish: Wish, target: str) -> str:
    etcd = ", ".join(f'"{each}"' for each in wish.etcd)
    return _EDGE.replace("@ETCD@", etcd).replace("@STATE@", str(wish.state)) + target


_EDGE = """\
# What keeps the list of servers in step with the registry: crawler edge --config THIS_FILE
# Try it without changing anything: add --dry-run. Once, from cron say: --once.
etcd = [@ETCD@]

[edge]
http = ":8079"  # /readyz, /health in words, /metrics; loopback only
state = "@STATE@"  # what a restart in an outage goes by
# secret = "/etc/crawler/secret"  # where the nodes sign their records: believe only those

# Who is behind the doors. A pool is an upstream or backend of its name; with other services than
# these: service = "NAME" as go-micro registers it, or prefix = "/work/ips/" for any keys.
[edge.pools.crawler_http]
service = "go.micro.server.master"
mode = "http"
# leader = true  # what may change something straight to the leader, to any while it is away

[edge.pools.crawler_grpc]
service = "go.micro.server.master"
mode = "grpc"

[edge.pace]
quiet_s = 0.3      # changes are gathered until none comes for so long,
max_wait_s = 2.0   # or for so long in all
grace_s = 30.0     # more than half gone at once: not believed for so long; all gone: never

"""

_NGINX = """\
# nginx in front of crawler's masters: one address for the console, the API and gRPC.
#   crawler edge --config edge.toml    keeps the list of masters
#   nginx -c THIS_FILE                 serves
# In Debian, /etc/nginx/nginx.conf is what its unit starts: put this in its place, or take over what
# is inside http { } and, outside it, worker_shutdown_timeout.

# user www-data;
worker_processes auto;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;

# Streams (events, gRPC) would keep the workers of earlier generations for ever. What is cut off
# then connects anew and goes on where it was.
worker_shutdown_timeout 30s;

events {
    worker_connections 4096;
}

http {
    access_log off;
    server_tokens off;

    # The list, written by crawler edge: upstreams crawler_http and crawler_grpc, and in
    # $crawler_http_route and $crawler_grpc_route which of them a request goes to.
    include @FILE@;

    # The console and the API. Beyond loopback only with tokens (crawler token) and certificates:
    # listen 443 ssl; ssl_certificate ...; ssl_certificate_key ...;
    server {
        listen @HTTP@;

        # A reload closes idle connections of clients, and one that is just sending a POST gets a
        # reset. Connections that are not kept cannot: measured 86 of 11,200 with, 0 without. For
        # connections that are kept over reloads: haproxy.
        keepalive_timeout 0;

        client_max_body_size 2m;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;

        # A server that does not take a request is left at once for the next; a POST, too, which may
        # then run twice: whatever changes something in crawler is safe to repeat.
        proxy_connect_timeout 1s;
        proxy_next_upstream error timeout http_502 http_503 http_504 non_idempotent;
        proxy_next_upstream_tries 3;
        proxy_next_upstream_timeout 5s;

        location / {
            proxy_read_timeout 75s;
            proxy_pass http://$crawler_http_route;
        }

        # What goes on until the client ends it.
        location = /crawler/events {
            proxy_buffering off;
            proxy_read_timeout 1h;
            proxy_pass http://$crawler_http_route;
        }

        # Masters with certificates: proxy_pass https://..., and
        # proxy_ssl_trusted_certificate /etc/crawler/tls/ca.pem; proxy_ssl_verify on;
    }

    # gRPC. Clients repeat what was UNAVAILABLE: a retryPolicy of 4 attempts in the service config.
    server {
        listen @GRPC@ http2;

        keepalive_requests 10000000;
        keepalive_time 24h;
        client_max_body_size 0;
        client_body_timeout 1h;

        location / {
            grpc_connect_timeout 1s;
            grpc_read_timeout 1h;
            grpc_send_timeout 1h;
            grpc_next_upstream error timeout http_502 http_503 http_504 non_idempotent;
            grpc_next_upstream_tries 3;
            grpc_pass grpc://$crawler_grpc_route;
            error_page 502 503 504 = /grpc_unavailable;
        }

        # nginx would answer HTTP 502, which no client takes for a reason to repeat a call.
        location = /grpc_unavailable {
            internal;
            default_type application/grpc;
            add_header grpc-status 14 always;
            add_header grpc-message "backend unavailable" always;
            add_header content-length 0 always;
            return 204;
        }
    }
}
"""

_HAPROXY = """\
# haproxy in front of crawler's masters: one address for the console, the API and gRPC.
#   crawler edge --config edge.toml            keeps the list of masters
#   haproxy -W -f @MAIN@ -f @FILE@    serves
# In Debian: put this in the place of /etc/haproxy/haproxy.cfg, and the other into
# /etc/default/haproxy: EXTRAOPTS="-f @FILE@"

global
    # The edge adds and removes servers here.
    stats socket @SOCKET@ mode 660 level admin expose-fd listeners
    log stderr format raw local0 notice
    maxconn 4000
    # Streams would keep the processes of earlier generations for ever.
    hard-stop-after 30s
    # user haproxy
    # group haproxy

defaults
    log global
    mode http
    option dontlognull
    timeout connect 1s
    timeout check 1s
    timeout client 75s
    timeout server 75s
    timeout http-request 10s
    timeout http-keep-alive 75s
    timeout queue 5s
    # At a reload a connection ends with an answer, never while a request comes in.
    option idle-close-on-response

# The console and the API. Beyond loopback only with tokens (crawler token) and certificates:
# bind :443 ssl crt /etc/crawler/tls/entry.pem
frontend crawler
    bind @HTTP@
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    # What goes on until the client ends it says something at least every few seconds.
    default_backend crawler_http

frontend crawler-grpc
    bind @GRPC@ proto h2
    timeout client 1h
    default_backend crawler_grpc

# The backends themselves are in the file that the edge writes.
"""
