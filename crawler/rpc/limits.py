"""How much one message may carry: requests are small, a list of ten thousand resources is not."""

from __future__ import annotations

MAX_REQUEST_BYTES = 4 * 1024 * 1024
MAX_REPLY_BYTES = 64 * 1024 * 1024
