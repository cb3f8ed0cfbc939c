"""What etcd holds, in a file, and a member that begins with it: by etcd's own programs."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from crawler.coordination.etcd import EtcdSettings
from crawler.errors import EtcdUnavailable, Misconfigured
from crawler.ops.programs import PATH, run_program

_PATIENCE = ("--dial-timeout=5s", "--command-timeout=5s")
_SAVE_LIMIT_S = 3600.0  # gigabytes, over a network


def save_snapshot(settings: EtcdSettings, target: Path) -> Path:
    """Write the snapshot of the first member that gives one. Raises `EtcdUnavailable` with what
    the last of them said, and `Misconfigured` where etcdctl is missing."""
    if shutil.which("etcdctl", path=PATH) is None:
        raise Misconfigured("etcdctl is missing: apt-get install etcd-client, or --store-only")
    environ = {"ETCDCTL_API": "3"}
    if settings.username is not None:
        # Not on the command line, where everybody could read it.
        environ["ETCDCTL_USER"] = f"{settings.username}:{settings.password or ''}"
    tls = {"cacert": settings.ca_file, "cert": settings.cert_file, "key": settings.key_file}
    flags = [f"--{name}={file}" for name, file in tls.items() if file is not None]
    failed = ""
    for endpoint in settings.endpoints:
        member = ["etcdctl", f"--endpoints={endpoint}", *flags]
        try:
            # Whoever asks a member that is away for a snapshot is kept waiting for it.
            run_program(*member, *_PATIENCE, "endpoint", "health", environ=environ)
            save = (*member, "snapshot", "save", str(target))
            run_program(*save, environ=environ, limit_s=_SAVE_LIMIT_S)
        except Misconfigured as error:
            failed = str(error)
        else:
            target.chmod(0o600)
            return target
    raise EtcdUnavailable(f"no member of etcd gives a snapshot; --store-only needs none: {failed}")


def restore_snapshot(file: Path, data: Path) -> None:
    """Make ``data``, the directory of a single member that begins with it; it is there when it is
    complete."""
    # The programs of 3.6 on leave this to etcdutl.
    program = next((p for p in ("etcdutl", "etcdctl") if shutil.which(p, path=PATH)), None)
    if program is None:
        raise Misconfigured("etcdutl and etcdctl are missing: apt-get install etcd-client")
    try:
        data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{data.name}.", dir=data.parent) as folder:
            staged = Path(folder, "data")
            command = (program, "snapshot", "restore", str(file), f"--data-dir={staged}")
            run_program(*command, environ={"ETCDCTL_API": "3"})
            staged.chmod(0o700)
            staged.rename(data)
    except OSError as error:
        raise Misconfigured(f"--etcd-data {data}: {error.strerror}") from error
