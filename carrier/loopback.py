"""Names and addresses of this machine, that nobody else can be reached by."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether it is one; names are not resolved."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
