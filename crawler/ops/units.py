"""What systemd is told of masters, workers and the edge: units, the group that may read their
settings, and a drop-in for nginx. Directives: see systemd.exec(5) and systemd.service(5)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template

from crawler.ops.certificates import CA_KEY_FILE
from crawler.ops.files import MARK, File

SETTINGS = Path("/etc/crawler")
GROUP = "crawler-config"
ROLES = ("master", "worker")
EDGE = "edge"

_UNITS = Path("/etc/systemd/system")
_NOTE = f"{MARK} systemd, which replaces it. Changes of yours belong into a drop-in:"

# A stop takes a drain of 1.5 s, the last statuses, and at most some seconds of clean-up.
_UNIT = Template("""\
$note
#     systemctl edit $unit

[Unit]
Description=crawler $role %i
Wants=network-online.target
After=network-online.target postgresql.service etcd.service

# It goes on trying for as long as its etcd or its database is away.
StartLimitIntervalSec=0

[Service]
# Ready is who is registered; a start is given up when nothing is heard for five minutes.
Type=notify
NotifyAccess=main
TimeoutStartSec=5min
# What is added to the settings, a token say, is made readable for the group below.
ExecStartPre=+-systemd-tmpfiles --create crawler.conf
ExecStart=$program $role --id=%i --config=$settings/crawler.toml
EnvironmentFile=-$settings/$role-%i.env
Environment=XDG_DATA_HOME=%S PYTHONFAULTHANDLER=1 PYTHONUNBUFFERED=1

# No sign of life: what its threads did goes to the journal, and it starts anew. An idle node gives
# signs, and so does one whose etcd or database is away.
WatchdogSec=30
WatchdogSignal=SIGABRT
LimitCORE=0
Restart=always
RestartSec=1
# Settings that are wrong do not mend themselves. What may pass (a port that is taken, a login that
# is refused) has another code.
RestartPreventExitStatus=2

# SIGTERM is for the node, which ends its crawling processes in order: a drain of 1.5 s, then what
# has to be told. Whoever is left after this time is killed; nothing is lost by that.
KillMode=mixed
TimeoutStopSec=30
$memory
LimitNOFILE=65536

# A user of its own, which owns nothing but this directory; all instances share it.
DynamicUser=yes
User=crawler
SupplementaryGroups=$group
StateDirectory=crawler
StateDirectoryMode=0700
WorkingDirectory=%S/crawler
UMask=0077

# It needs the network, its directory, and no right of root's.
CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
KeyringMode=private
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
$sandbox

[Install]
WantedBy=multi-user.target
""")

_MEMORY = {
    "master": "",
    "worker": """\
# A crawling process that takes too much memory dies alone, and its page gets a strike.
OOMPolicy=continue""",
}
_SANDBOX = {
    "master": """\
RestrictNamespaces=yes
MemoryDenyWriteExecute=yes
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources""",
    "worker": """\
# A browser (fetcher = "browser") makes namespaces for its own sandbox, and compiles scripts.
RestrictNamespaces=user pid net
MemoryDenyWriteExecute=no
SystemCallFilter=@system-service chroot seccomp""",
}

_EDGE = Template("""\
$note
#     systemctl edit crawler-edge

[Unit]
Description=crawler edge: load balancers in step with the registry
Wants=network-online.target
After=network-online.target etcd.service nginx.service haproxy.service keepalived.service

# It goes on trying for as long as etcd or its load balancer is away.
StartLimitIntervalSec=0

[Service]
# Ready is whose load balancers were all looked at; how they are is said in its status.
Type=notify
NotifyAccess=main
TimeoutStartSec=5min
ExecStart=$program edge --config=$settings/edge.toml --state=%S/crawler-edge
ExecReload=/bin/kill -HUP $$MAINPID
EnvironmentFile=-$settings/edge.env
Environment=PYTHONFAULTHANDLER=1 PYTHONUNBUFFERED=1

# No sign of life: what its threads did goes to the journal, and it starts anew.
WatchdogSec=30
WatchdogSignal=SIGABRT
LimitCORE=0
Restart=always
RestartSec=1
# Settings that are wrong do not mend themselves. What may pass (a port that is taken, a login that
# is refused) has another code.
RestartPreventExitStatus=2

# A change that is under way may end, with its check, its reload and a look whether that took.
KillMode=mixed
TimeoutStopSec=45

# It is root, and has four of root's rights. The first processes of load balancers are root's: root
# alone may signal them, and read the keys that a check of the whole configuration reads.
# DAC_OVERRIDE: logs and directories that belong to the load balancer's own user. CHOWN, FOWNER: a
# file keeps its owner and mode, and nginx's check makes its directories. NET_BIND_SERVICE: that
# check binds ports. Where no load balancer is reloaded, for json targets say, a drop-in takes all
# of it away: User=, and CapabilityBoundingSet= without a value.
User=root
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_CHOWN CAP_FOWNER CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
StateDirectory=crawler-edge
StateDirectoryMode=0700
WorkingDirectory=%S/crawler-edge

# What it writes is in one of the first four, or in a directory that a drop-in of yours names so;
# in the others a check of nginx opens its logs, its directories and its pid file.
ProtectSystem=strict
ReadWritePaths=-/etc/nginx -/etc/haproxy -/etc/keepalived -$settings
ReadWritePaths=-/var/log/nginx -/var/lib/nginx -/run

ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
KeyringMode=private
LockPersonality=yes
# Load balancers compile regular expressions, in their checks, too.
MemoryDenyWriteExecute=no
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target
""")

_GROUP = f"""\
{MARK} systemd: who may read {SETTINGS}, see sysusers.d(5).
g {GROUP} -
"""

_RIGHTS = f"""\
{MARK} systemd: what {SETTINGS} holds is for root and the group, see tmpfiles.d(5).
Z {SETTINGS} ~0750 root {GROUP} -
# But the key of an authority, with which a node could be anybody, is no node's.
z {SETTINGS}/{CA_KEY_FILE} 0600 root root -
z {SETTINGS}/*/{CA_KEY_FILE} 0600 root root -
"""

_CONFIG = Template("""\
# Settings of all masters and workers of this machine, see the reference of settings. What differs
# from one node to another, its ports say, stands in $settings/master-1.env or worker-2.env as
# CRAWLER_HTTP=:8082 and so on.
#
# Put what it names (tokens, secrets, certificates and their keys) into this directory, too: at each
# start all of it is made readable for the group $group, which the services are in.

etcd = ["http://127.0.0.1:2379"]
# Of this machine alone; for several: "postgresql://crawler@db.example/crawler", say.
store = "sqlite://$state/crawler.db"
""")

_NGINX = f"""\
{MARK} systemd: Debian's unit has Restart=no, so that an nginx that was killed stays dead.

[Unit]
StartLimitIntervalSec=0

[Service]
Restart=on-failure
RestartSec=1
"""


def unit_name(role: str) -> str:
    """The template of a role's instances; the edge is one a machine."""
    return "crawler-edge.service" if role == EDGE else f"crawler-{role}@.service"


def unit(role: str, program: Path) -> File:
    """Of one role; ``program`` is the command `crawler` where the units will run."""
    if role == EDGE:
        text = _EDGE.substitute(note=_NOTE, program=_escaped(program), settings=SETTINGS)
        return File(_UNITS / unit_name(role), text)
    text = _UNIT.substitute(
        note=_NOTE,
        unit=unit_name(role).removesuffix(".service"),
        role=role,
        program=_escaped(program),
        settings=SETTINGS,
        group=GROUP,
        memory=_MEMORY[role],
        sandbox=_SANDBOX[role],
    )
    return File(_UNITS / unit_name(role), text)


def group() -> File:
    """For systemd-sysusers."""
    return File(Path("/etc/sysusers.d/crawler.conf"), _GROUP)


def rights() -> File:
    """For systemd-tmpfiles."""
    return File(Path("/etc/tmpfiles.d/crawler.conf"), _RIGHTS)


def settings() -> File:
    """What an operator edits."""
    text = _CONFIG.substitute(settings=SETTINGS, group=GROUP, state="/var/lib/crawler")
    return File(SETTINGS / "crawler.toml", text, 0o640, theirs=True)


def nginx() -> File:
    """Starts Debian's nginx anew when it dies."""
    return File(_UNITS / "nginx.service.d" / "50-crawler.conf", _NGINX)


def has_nodes(roles: Sequence[str]) -> bool:
    """Whether masters or workers are among them, and not the edge alone."""
    return bool(set(roles) & set(ROLES))


def all_files(roles: Sequence[str], program: Path, *, with_nginx: bool) -> list[File]:
    """What an installation consists of."""
    nodes = [group(), rights(), settings()] if has_nodes(roles) else []
    files = [*nodes, *(unit(role, program) for role in roles)]
    return [*files, nginx()] if with_nginx else files


def _escaped(path: Path) -> str:
    """As a word of a command line, see "Command lines" in systemd.service(5)."""
    text = str(path).replace("%", "%%").replace("$", "$$").replace("\\", "\\\\")
    return f'"{text}"' if any(each in text for each in " '\"") else text
