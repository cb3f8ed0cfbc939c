"""Whether what is in this container takes part: exit code 0, or 1 with the reason.

The health check of the images. It asks the URL that it is given; else the node itself, which it
finds by CRAWLER_HTTP and, where that speaks TLS, by CRAWLER_TLS_CERT.
"""

from __future__ import annotations

import os
import ssl
import sys
import urllib.error
import urllib.request

PATIENCE_S = 3.0


def main() -> int:
    port = os.environ.get("CRAWLER_HTTP", ":8080").rpartition(":")[2]
    secure = bool(os.environ.get("CRAWLER_TLS_CERT"))
    context = ssl.create_default_context() if secure else None
    if context is not None:  # it speaks to itself, under a name that no certificate has
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    own = f"{'https' if secure else 'http'}://127.0.0.1:{port}/readyz"
    url = sys.argv[1] if len(sys.argv) > 1 else own
    try:
        urllib.request.urlopen(url, timeout=PATIENCE_S, context=context).close()  # noqa: S310
    except (OSError, urllib.error.URLError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
