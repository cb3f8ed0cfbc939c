"""The command line: arguments to the client, the app or this machine's rooms; exit codes."""

from crawler.telemetry.lean import look_rarely

look_rarely()
