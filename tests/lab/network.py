"""Several hosts on one machine, with the faults of a real network between them.

Each host is a network namespace; a bridge in one more joins them, so the machine's own network
sees nothing of it, and neither does another test run. Silent drops and resets are made by the
*hearing* host's packet filter (nftables), losses of carrier at the bridge.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Any, Self

from tests.lab.namespace import Namespace
from tests.lab.tunnel import Disturbance, start_tunnel

STOP_LIMIT_S = 10.0
_SUBNET = "10.99.0"


class Fault:
    """Something that is broken until `heal`, which may be called twice; or for a ``with`` block."""

    def __init__(self, heal: Callable[[], None]) -> None:
        self._heal: Callable[[], None] | None = heal

    def heal(self) -> None:
        """Mend it."""
        if self._heal is not None:
            self._heal()
            self._heal = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.heal()


class Host:
    """A `Place` in a `Network`. What is started here is killed with it."""

    def __init__(self, name: str, address: str, switch: Namespace) -> None:
        self.name = name
        self.address = address
        self.namespace = Namespace(switch)
        self._rules: list[str] = []
        self._started: list[subprocess.Popen[bytes]] = []

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command that runs ``arguments`` on this host; it becomes that program by exec."""
        return self.namespace.command(arguments)

    def start(
        self,
        arguments: Sequence[str],
        *,
        output: int | IO[bytes] | None = None,
        error: int | IO[bytes] | None = None,
        **options: Any,
    ) -> subprocess.Popen[bytes]:
        """Start a process here; ``error`` None: as ``output``; ``options`` are Popen's."""
        process = subprocess.Popen(
            self.command(arguments), stdout=output, stderr=error or output, **options
        )
        self._started.append(process)
        return process

    def filter(self, rule: str) -> Fault:
        """Put an nftables rule on everything that arrives over the network."""
        self._rules.append(rule)
        self._apply()

        def remove() -> None:
            self._rules.remove(rule)
            self._apply()

        return Fault(remove)

    def clear(self) -> None:
        """Kill what was started here and still runs."""
        for process in self._started:
            process.kill()
            process.wait(STOP_LIMIT_S)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        self._started.clear()

    def close(self) -> None:
        """Clear the host and let the namespace go."""
        self.clear()
        self.namespace.close()

    def _apply(self) -> None:
        rules = "\n".join(f'iifname "eth0" {rule}' for rule in self._rules)
        chain = f"type filter hook input priority 0; policy accept;\n{rules}\n"
        table = "table inet lab"
        # The first line makes the second one possible; nft applies all of it at once.
        text = f"{table}\ndelete {table}\n{table} {{\nchain heard {{\n{chain}}}\n}}\n"
        self.namespace.run("nft", "--file", "-", text=text)


class Network:
    """Hosts by name, each reaching every other; a context that leaves nothing behind."""

    def __init__(self, *names: str) -> None:
        self._faults: list[Fault] = []
        self._hosts: dict[str, Host] = {}
        self._stack = ExitStack()
        try:
            self._build(names)
        except BaseException:
            self.close()
            raise

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill what was started on the hosts and remove everything; idempotent."""
        self._stack.close()

    def heal(self) -> None:
        """Mend every fault that is left."""
        while self._faults:
            self._faults.pop().heal()

    def unplug(self, name: str) -> Fault:
        """Take the host's interface down: it has no route to anybody and knows it."""
        host = self._hosts[name]
        host.namespace.run("ip", "link", "set", "eth0", "down")
        return self._note(lambda: _run(host.namespace, "ip link set eth0 up"))

    def isolate(self, name: str) -> Fault:
        """Take the host's port of the bridge down: everything to and from it is lost."""
        self._switch.run("ip", "link", "set", f"to-{name}", "down")
        return self._note(lambda: _run(self._switch, f"ip link set to-{name} up"))

    def cut(self, one: str, *others: str) -> Fault:
        """Between ``one`` and each of the others, nothing arrives in either direction."""
        pairs = [(one, other) for other in others]
        both = pairs + [(other, one) for other in others]
        return self._join([self.deafen(hearer, speaker) for hearer, speaker in both])

    def deafen(self, name: str, *speakers: str) -> Fault:
        """The host hears nothing of those speakers any more; they go on hearing it."""
        return self._note(
            self._hosts[name].filter(f"ip saddr {self._addresses(speakers)} drop").heal
        )

    def reset(self, name: str, *speakers: str) -> Fault:
        """The host answers those speakers' TCP with RST, and itself hears nothing of them."""
        rule = f"ip saddr {self._addresses(speakers)} meta l4proto tcp reject with tcp reset"
        return self._note(self._hosts[name].filter(rule).heal)

    def lose(self, name: str, percent: int) -> Fault:
        """The host misses so many of a hundred packets, at random."""
        return self._note(self._hosts[name].filter(f"numgen random mod 100 < {percent} drop").heal)

    def disturb(self, name: str, disturbance: Disturbance) -> Fault:
        """Delay, shuffle, double or lose what the host *sends*."""
        return self._note(start_tunnel(self._hosts[name], disturbance, f"{_SUBNET}.0/24"))

    def _build(self, names: Sequence[str]) -> None:
        self._switch = Namespace()
        self._stack.callback(self._switch.close)
        _run(self._switch, "ip link add br0 type bridge", "ip link set br0 up")
        for number, name in enumerate(names, start=11):
            host = Host(name, f"{_SUBNET}.{number}", self._switch)
            self._stack.callback(host.close)
            self._hosts[name] = host
            _run(
                self._switch,
                f"ip link add to-{name} type veth peer name eth0 netns {host.namespace.pid}",
                f"ip link set to-{name} master br0 up",
            )
            _run(
                host.namespace,
                "ip link set lo up",
                f"ip addr add {host.address}/24 dev eth0",
                "ip link set eth0 up",
            )

    def _addresses(self, names: Sequence[str]) -> str:
        return "{ " + ", ".join(self._hosts[name].address for name in names) + " }"

    def _note(self, heal: Callable[[], None]) -> Fault:
        fault = Fault(heal)
        self._faults.append(fault)
        return fault

    def _join(self, faults: Sequence[Fault]) -> Fault:
        def heal() -> None:
            for fault in faults:
                fault.heal()

        return self._note(heal)


def _run(namespace: Namespace, *commands: str) -> None:
    for command in commands:
        namespace.run(*command.split())
