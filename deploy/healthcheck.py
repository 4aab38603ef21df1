"""Exits with 0 if the server of this container is ready; else with 1, and the reason on stderr.

A script, because the container has no curl. It reads the server's own environment variables.
"""

import os
import ssl
import sys
import urllib.error
import urllib.request

DEFAULT = "127.0.0.1:8080"
ANY = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - what is listened on, not by us


def main() -> int:
    host, _, port = os.environ.get("DEVTELEMETRY_HTTP_LISTEN", DEFAULT).rpartition(":")
    has_tls = bool(os.environ.get("DEVTELEMETRY_TLS_CERT"))
    context = None
    if has_tls:
        # No check: the certificate is made for a public name, and this connection is on loopback.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    url = f"{'https' if has_tls else 'http'}://{ANY.get(host, host)}:{port}/readyz"
    # A proxy that the environment names is not for loopback.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(url, timeout=8):
            return 0
    except urllib.error.HTTPError as error:
        sys.stderr.write(f"{url}: {error.code} {error.read(500).decode(errors='replace')}")
    except OSError as error:
        sys.stderr.write(f"{url}: {error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
