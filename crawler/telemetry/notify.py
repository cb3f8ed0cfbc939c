"""Messages to the service manager that started this process, as sd_notify(3) has them."""

from __future__ import annotations

import socket

import structlog

log = structlog.get_logger(__name__)


class Notifier:
    """Sends assignments such as ``READY=1`` to the socket that the manager named: a path, or an
    abstract name behind an ``@``."""

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._heard = True

    def tell(self, *assignments: str) -> None:
        """Send them in one message. It never waits, and a manager that does not listen is no
        fault of ours: one line in the log says so."""
        message = "\n".join(each.replace("\n", " ") for each in assignments).encode()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.sendto(message, socket.MSG_DONTWAIT, self._address)
        except OSError as error:
            if self._heard:
                log.warning("the service manager does not hear us", error=str(error))
            self._heard = False
        else:
            self._heard = True
