"""``python -m tests.acceptance.nemesis SEED MINUTES``: one run of that seed; exits 0 if it is
valid, 1 if a promise was broken, 2 if it met too little to say."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from pathlib import Path

from crawler.telemetry.logs import configure
from tests.acceptance.chaos.verdict import Judgement
from tests.acceptance.cluster import TTL_S
from tests.acceptance.nemesis.trial import try_out

_EXITS = {Judgement.VALID: 0, Judgement.INVALID: 1, Judgement.INCONCLUSIVE: 2}


def main(seed: int, minutes: float) -> int:
    configure("error")  # of our own clients, who meet the faults too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and nothing is left behind
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
    report = asyncio.run(try_out(folder, seed, 60 * minutes))
    print(f"seed {seed}, {minutes:g} minutes of faults, time to live {TTL_S} s")
    print(report.text())
    print(f"logs: {folder}")
    return _EXITS[report.verdict.judgement]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
