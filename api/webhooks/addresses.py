"""Where a webhook may go: the host is resolved, every address checked, and the checked one connected to.

A name is resolved once per attempt and the connection is made to the very address that passed, so a name
that answers differently the second time (DNS rebinding) leads nowhere new; redirects are not followed.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from api.errors import ApiError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]

MOST_URL = 500
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOW = 0xFFFFFFFF


class UrlRefusedError(ApiError):
    """Webhooks are not sent to this URL."""

    code = "webhook_url_refused"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to connect.

    Attributes:
        host: the name in the URL, for the Host header and the certificate.
        address: the checked address.
        port: the port.
        is_tls: whether over TLS.
        target: path and query.
    """

    host: str
    address: str
    port: int
    is_tls: bool
    target: str

    @property
    def url(self) -> str:
        """The URL with the checked address in place of the name."""
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"{'https' if self.is_tls else 'http'}://{shown}:{self.port}{self.target}"

    @property
    def host_header(self) -> str:
        """What the receiver is called."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return shown if self.port == (443 if self.is_tls else 80) else f"{shown}:{self.port}"


def read_networks(text: str) -> tuple[Network, ...]:
    """Networks from a setting, separated by commas.

    Raises:
        ValueError: one is no network.
    """
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def resolve(host: str, port: int) -> list[str]:
    """Every address of a host, as the machine's resolver says."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]).partition("%")[0] for one in found))


def find_destination(
    url: str, allowed: Sequence[Network], *, resolver: Resolve = resolve
) -> Destination:
    """The checked destination of a URL.

    Args:
        url: https, or http into an allowed network.
        allowed: private networks that the operator allows.
        resolver: finds the addresses of a host.

    Raises:
        UrlRefusedError: malformed, unknown, or any of its addresses is not a public one.
    """
    parts = _split(url)
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    try:
        found = [ipaddress.ip_address(one) for one in resolver(host, port)]
    except (OSError, UnicodeError, ValueError):
        found = []
    if not found:
        raise UrlRefusedError(f"the host {host} cannot be found", field="url")
    for address in found:
        is_private = not _is_public(address)
        if is_private and not any(address in network for network in allowed):
            raise UrlRefusedError(
                f"{host} leads to {address}, which is not a public address", field="url"
            )
        if not is_tls and not is_private:
            raise UrlRefusedError("a public receiver is reached over https", field="url")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(host, str(found[0]), port, is_tls, target)


def _split(url: str) -> SplitResult:
    if len(url) > MOST_URL or not url.isascii() or any(ord(c) <= 0x20 or c == "\\" for c in url):
        raise UrlRefusedError(
            f"a URL has at most {MOST_URL} visible ASCII characters (a name in Chinese as xn--)",
            field="url",
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UrlRefusedError(f"this is no URL: {error}", field="url") from error
    if parts.scheme not in {"https", "http"} or not parts.hostname or port == 0:
        raise UrlRefusedError("a URL begins with https:// and names a host", field="url")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise UrlRefusedError("a URL carries neither user nor password nor fragment", field="url")
    return parts


def _is_public(address: Address) -> bool:
    """Whether an address is somewhere on the internet, however it is wrapped."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if address in _NAT64:
            return _is_public(ipaddress.IPv4Address(int(address) & _LOW))
        if address.sixtofour is not None or address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved
