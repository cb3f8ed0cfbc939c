"""A network namespace without a name: nothing has to be cleaned up, whatever ends the tests.

It lives as long as a process in it does. The keeper is such a process: it ends when its input does,
which the kernel sees to if this process is killed. Without root, the outermost namespace brings a
user namespace along (user_namespaces(7)), in which our own user counts as root.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

LIMIT_S = 10.0
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


class Namespace:
    """One namespace; ``outer`` lends the user namespace that this one belongs to."""

    def __init__(self, outer: Namespace | None = None) -> None:
        self._as_user: bool = outer._as_user if outer else os.geteuid() != 0
        made = ["unshare", "--net", "cat"]
        if outer is not None:
            made = outer.command(made)
        elif self._as_user:
            made[1:1] = ["--user", "--map-root-user"]
        self._keeper = subprocess.Popen(made, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self._await_keeper()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The keeper."""
        return self._keeper.pid

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command that runs ``arguments`` in here; it becomes that program by exec."""
        user = ["--user", "--preserve-credentials"] if self._as_user else []
        return ["nsenter", f"--target={self.pid}", *user, "--net", *arguments]

    def run(self, *arguments: str, text: str = "") -> str:
        """Run a short command to its end; its output. A failure raises with its words."""
        done = subprocess.run(
            self.command(arguments),
            input=text,
            env={**os.environ, "PATH": PATH},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr or done.stdout}{text}")
        return done.stdout

    def close(self) -> None:
        """Let it go; idempotent. It is gone once the last process in it is."""
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.close()
        self._keeper.stdout.close()
        try:
            self._keeper.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()

    def _await_keeper(self) -> None:
        """Return once it echoes, which it does only in its namespace."""
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        try:
            self._keeper.stdin.write(b"\n")
            self._keeper.stdin.flush()
        except BrokenPipeError:
            pass
        if self._keeper.stdout.readline() != b"\n":
            raise RuntimeError("cannot make a network namespace: neither root nor allowed to users")
