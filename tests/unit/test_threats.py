"""Every row of the table of threats has a test that shows its answer, or says why not yet."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent

ROWS = {
    1: "changes by callers who did not say who they are",
    2: "forged registrations",
    3: "etcd as a back door",
    4: "gRPC and tokens in clear",
    5: "abuse of forwarding",
    6: "private addresses as targets",
    7: "odd spellings of hosts and ports",
    8: "redirects to private addresses and other schemes",
    9: "names that resolve to something else the next time",
    10: "proxies from the environment",
    11: "becoming an open proxy",
    12: "decompression bombs",
    13: "endless and slow bodies, endless sites",
    14: "huge headers",
    15: "hostile HTML",
    16: "entities in XML",
    17: "text that no database takes",
    18: "hostile robots.txt",
    19: "scripts in what is shown",
    20: "formulas and paths in exports",
    21: "identifiers in SQL",
    22: "names as keys and log lines",
    23: "oversized requests",
    24: "secrets in logs, answers and the process list",
    25: "rules as code",
    26: "callers that ask too much",
    27: "supply, rights of files, users",
}

# What of an answer belongs to a part that is not there yet. The rest of the row has tests.
LATER = {
    19: "there is no console: every answer is JSON or plain text, under a policy that runs nothing",
    20: "nothing is exported on servers: commands write the file that their user names",
    25: "there are no rules in Python: a definition is data, and its patterns take linear time",
    27: "there is no unit for systemd yet",
}

MARK = re.compile(r"pytest\.mark\.threat\(([0-9, ]+)\)")


def marked() -> set[int]:
    found: set[int] = set()
    for path in TESTS.rglob("test_*.py"):
        for rows in MARK.findall(path.read_text("utf-8")):
            found |= {int(row) for row in rows.split(",")}
    return found


def test_every_row_has_a_test() -> None:
    assert list(ROWS) == list(range(1, 28))
    assert marked() == set(ROWS)


def test_what_is_to_come_belongs_to_a_row() -> None:
    assert set(LATER) <= set(ROWS)
