"""Which programs can use which schema: so that two versions of us can share one database.

Each migration says since when programs can use what it makes. What only adds leaves the number of
its predecessor: those who do not know of it go on beside those who do. What takes away or changes
something raises it to the first version that does without; that is a later upgrade, once nobody
needs it any more.

The number stands where programs have looked for the version from the first on, and how far the
schema has come stands beside it: so programs older than this rule keep to it, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from crawler.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class Migration:
    """A script, and ``since``: the oldest schema whose programs can use what it leaves."""

    script: str
    since: int


@dataclass(frozen=True, slots=True)
class Level:
    """How far a schema has come, and the oldest whose programs can use it."""

    reached: int
    since: int

    @classmethod
    def read(cls, since: int, reached: int | None) -> Level:
        """As it is kept; where nothing is said of ``reached``, both are the same."""
        return cls(reached or since, since)

    def brought_to(self, known: int, since: int) -> Level:
        """What it is once a program that knows ``known`` has brought it forward. The number never
        falls: a program older than this rule would add what is there already."""
        return Level(known, max(self.since, since))


def is_behind(found: Level, known: int) -> bool:
    """Whether a program that knows the schema ``known`` is to bring this one forward. Raises
    `Misconfigured` where it cannot use it."""
    if found.since > known:
        raise Misconfigured(
            f"--store: the database has schema {found.reached}, which needs a program that knows "
            f"schema {found.since}; this one knows {known}: use the newer program"
        )
    return found.reached < known
