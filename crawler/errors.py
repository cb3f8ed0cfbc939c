"""Every error we raise, as one tree, one class per reaction a caller can have.

CrawlerError
├── InvalidInput          the caller must change what it sent (HTTP 400)
├── TooLarge              the same, because of a size limit (413)
├── NotFound              there is no such thing (404)
├── Conflict              it exists or stands otherwise (409)
├── Refused               the caller may not do that (403)
├── Unauthenticated       the caller must say who it is (401)
├── Unavailable           nothing happened; try again later (503)
│   ├── NoLeader          no master leads at the moment
│   ├── EtcdUnavailable   etcd did not take the call
│   └── StoreUnavailable  the database did not take the call
├── Exhausted             a limit of rate or space is reached (429)
├── OutcomeUnknown        it may or may not have happened; repeating is safe (504)
├── Fenced                somebody newer owns this; stop, never retry
│   └── TermLost          this master no longer leads
├── SessionLost           the lease is gone; start over with a new session
├── Compacted             the watched history is gone; list again
├── IdTaken               another live node has this id
├── FetchFailed           a page could not be had (carries whether to retry)
├── DeliveryFailed        a sink did not take what it was sent (carries whether it will)
├── OutOfStep             a load balancer is not as it should be; it is tried again
└── Misconfigured         this process cannot start as it is set up
    └── Hindered          nor as things stand around it, which may pass: start it again later
"""

from __future__ import annotations


class CrawlerError(Exception):
    """Root of all errors of ours. ``str(error)`` is a sentence for people, ``help`` another one
    that says what a caller of the API can do about this class of errors."""

    help = "the log of the node that answered tells more"


class InvalidInput(CrawlerError):
    """Definite refusal. ``field`` is the dotted path to what is wrong, "" where it is the whole."""

    help = "change the field that is named; /docs describes every field"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class TooLarge(CrawlerError):
    """Definite refusal because of a size limit, which the message names."""

    help = "send less; the limit is named"


class NotFound(CrawlerError):
    """There is nothing of that name."""

    help = "look at the name: GET /crawler/resource and GET /crawler/node list what there is"


class Conflict(CrawlerError):
    """The thing exists with another content, or its state does not allow this."""

    help = "look at how it stands, then ask for what is possible there, or use another name"


class Refused(CrawlerError):
    """Not allowed, whoever asks again."""

    help = "use a token that may do this; from a web page, one of the same origin"


class Unauthenticated(CrawlerError):
    """No or wrong credentials."""

    help = 'send "Authorization: Bearer TOKEN"; `crawler token NAME` makes one'


class Unavailable(CrawlerError):
    """Definitely without effect; the same call may succeed later."""

    help = "nothing happened; send the same again in a moment, or to another master"


class NoLeader(Unavailable):
    """No master leads right now."""

    help = "nothing happened; a leader is elected within seconds, send the same again then"


class EtcdUnavailable(Unavailable):
    """etcd did not take the call."""

    help = "nothing happened; send the same again later; `crawler doctor` looks at etcd"


class StoreUnavailable(Unavailable):
    """The database did not take the call."""

    help = "nothing happened; send the same again later; `crawler doctor` looks at it"


class Exhausted(CrawlerError):
    """A limit of rate, space or number is reached; definite, without effect."""

    help = "nothing happened; wait as long as Retry-After says, or free what the message names"


class OutcomeUnknown(CrawlerError):
    """The call was sent and its answer lost. Repeating it is safe."""

    help = "it may have happened; sending the same again is safe"


class Fenced(CrawlerError):
    """A newer owner exists. The right reaction is to stop, never to claim again."""


class TermLost(Fenced):
    """The election key of this term is gone: this master leads no more."""


class SessionLost(CrawlerError):
    """The lease ran out or was revoked. Everything that hung on it must start over."""


class Compacted(CrawlerError):
    """The history asked for is compacted away up to ``revision``; list again and compare."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"history is compacted up to revision {revision}")
        self.revision = revision


class IdTaken(CrawlerError):
    """Another live node is registered under this id."""


class FetchFailed(CrawlerError):
    """A page could not be fetched. ``reason`` is short and stable, for filters and counters."""

    def __init__(
        self,
        reason: str,
        *,
        retry: bool,
        status: int = 0,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry = retry
        self.status = status
        self.retry_after_s = retry_after_s


class DeliveryFailed(CrawlerError):
    """A sink did not take a batch, or nobody knows. ``refused``: the same again makes no sense
    before somebody changes something."""

    def __init__(
        self, reason: str, *, refused: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.refused = refused
        self.retry_after_s = retry_after_s


class OutOfStep(CrawlerError):
    """A load balancer did not take what it was to have. What it had before goes on."""


class Misconfigured(CrawlerError):
    """This process cannot start; the message says what to change."""


class Hindered(Misconfigured):
    """What must change is elsewhere: a port that another program has, a login that a server does
    not take yet. A service manager is to start it again, and again."""
