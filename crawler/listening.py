"""Why an address cannot be listened on, and whether that may pass."""

from __future__ import annotations

import errno
import os
import socket

from crawler.errors import Hindered, Misconfigured

# Another program has the port, the machine has not got its address yet, or no name server answers.
_PASSING = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL, socket.EAI_AGAIN})


def refused(what: str, error: OSError) -> Misconfigured:
    """Our error for the system's, `Hindered` for what may pass. ``what`` names flag and address."""
    number = error.errno or 0  # below zero: the resolver's own
    said = os.strerror(number) if number > 0 else error.strerror or str(error)
    if number == errno.EADDRINUSE:
        said = "in use by another program; stop that one, or choose another port"
    kind = Hindered if number in _PASSING else Misconfigured
    return kind(f"{what}: cannot listen there: {said}")
