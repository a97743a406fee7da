"""The way to a server, looked at before anything is asked of it: name, connection, TLS and certificate.

Rule    Nothing of ours is sent but a handshake: no request, no credential. Each step ends by itself, also
        against a server that drips; a step that fails ends the look, because the next ones need it.

Reads   the CA file and the certificate that we show. Writes nothing.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from node.clock import MICROSECONDS
from node.sync.doctor_findings import Finding, broken, failed, ok, warned
from node.sync.endings import DAY, SOON_DAYS

DNS_SECONDS, CONNECT_SECONDS, HANDSHAKE_SECONDS = 5.0, 3.0, 8.0
MOST_ADDRESSES = 4
_EXPIRED, _NOT_YET, _UNKNOWN_ISSUERS, _OTHER_NAME = (10,), (9,), (2, 18, 19, 20, 21), (62, 64)


@dataclass(frozen=True, slots=True)
class Place:
    """A server to be reached.

    Args:
        url: Its address, http or https.
        whose: Who is asked when it does not work, as `south`.
        table: Where its keys stand in the configuration, as `[partner.south]`.
        url_key: The key there in which the address stands.
        tls_ca: File with the only issuer trusted; None for the public ones.
        shown: Files with a certificate and its key that we show; or None.
    """

    url: str
    whose: str
    table: str
    url_key: str = "api_root"
    tls_ca: str | None = None
    shown: tuple[str, str] | None = None

    @property
    def host(self) -> str:
        """The host's name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""
        return urlsplit(self.url).scheme == "https"

    @property
    def port(self) -> int:
        """The port."""
        return urlsplit(self.url).port or (443 if self.secure else 80)


def look_at_line(place: Place, *, now: int) -> Iterator[Finding]:
    """What is found of the way to a server; it ends at the first failure."""
    addresses: list[str] = []
    name = _dns(place, addresses)
    yield name
    if broken([name]):
        return
    reached: list[str] = []
    connection = _tcp(place, addresses, reached)
    yield connection
    if broken([connection]):
        return
    if place.secure:
        yield from _tls(place, reached[0], now=now)
    else:
        yield ok("TLS", "plain HTTP, which is for this machine only")


def _dns(place: Place, addresses: list[str]) -> Finding:
    answer: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
            answer.put(list(dict.fromkeys(str(each[4][0]) for each in found)))
        except (OSError, UnicodeError) as cause:
            answer.put(cause if isinstance(cause, OSError) else OSError(str(cause)))

    # The resolver of the system knows no deadline.
    threading.Thread(target=ask, daemon=True).start()
    try:
        found = answer.get(timeout=DNS_SECONDS)
    except queue.Empty:
        found = OSError(f"no answer in {DNS_SECONDS:g} s")
    if isinstance(found, OSError):
        return failed(
            "DNS",
            f"{place.host} has no address: {found.strerror or found}",
            f"Compare the host in {place.url_key} of {place.table} with what {place.whose} gave you; if it is"
            f" right, look at our resolver: getent hosts {place.host}",
            "network",
        )
    addresses += found
    shown = ", ".join(found[:MOST_ADDRESSES])
    return ok("DNS", place.host if found == [place.host] else f"{place.host} is {shown}")


def _tcp(place: Place, addresses: list[str], reached: list[str]) -> Finding:
    faults: list[str] = []
    for address in addresses[:MOST_ADDRESSES]:
        try:
            socket.create_connection((address, place.port), timeout=CONNECT_SECONDS).close()
        except OSError as cause:
            refused = isinstance(cause, ConnectionRefusedError)
            late = isinstance(cause, TimeoutError)
            why = "refused" if refused else "no answer" if late else str(cause.strerror or cause)
            faults.append(f"{address}: {why}")
        else:
            reached.append(address)
    if not reached:
        text = f"nobody answers at port {place.port}: {'; '.join(faults)}"
        fix = f"Ask {place.whose} whether its server runs and is open to our address"
        if all(each.endswith("refused") for each in faults):
            fix = f"The machine is there, and nothing listens: ask {place.whose} whether its server runs"
        return failed("TCP", text, f"{fix}, at port {place.port}.", "network")
    if faults:
        fix = f"Tell {place.whose}; until then connections may take some seconds longer."
        text = f"port {place.port} answers at {reached[0]}, but not everywhere: {'; '.join(faults)}"
        return warned("TCP", text, fix)
    return ok("TCP", f"port {place.port} answers")


def _tls(place: Place, address: str, *, now: int) -> Iterator[Finding]:
    try:
        context = ssl.create_default_context(cafile=place.tls_ca or DEFAULT_CA_BUNDLE_PATH)
        if place.shown is not None:
            context.load_cert_chain(*place.shown, password="")
    except (OSError, ValueError) as cause:
        files = [place.tls_ca, *(place.shown or ())]
        text = f"our own files cannot be used ({', '.join(each for each in files if each)}): {cause}"
        keys = "tls_ca, tls_certificate and tls_private_key"
        yield failed("TLS", text, f"Correct {keys} of {place.table}; see: stixnode check")
        return
    try:
        with _shaken(place, address, context) as connection:
            version, content = connection.version() or "TLS", connection.getpeercert(binary_form=True)
    except ssl.SSLCertVerificationError as cause:
        yield _distrusted(place, address, cause)
        return
    except (OSError, ValueError) as cause:
        yield _no_handshake(place, cause)
        return
    certificate = x509.load_der_x509_certificate(content or b"")
    left = int(certificate.not_valid_after_utc.timestamp()) * MICROSECONDS - now
    version = version.replace("TLSv", "TLS ")
    text = f"{version}, certificate {left // DAY} days, issued by {_issuer(certificate)}"
    if left <= SOON_DAYS * DAY:
        yield warned("TLS", text, f"Remind {place.whose} to renew it; when it ends, nothing crosses.")
    else:
        yield ok("TLS", text)


@contextmanager
def _shaken(place: Place, address: str, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """A connection after its handshake, which ends in time even if the other side drips."""
    with socket.create_connection((address, place.port), timeout=CONNECT_SECONDS) as plain:
        plain.settimeout(HANDSHAKE_SECONDS)
        with closing(plain.dup()) as handle:
            watch = threading.Timer(HANDSHAKE_SECONDS, _end, (handle,))
            watch.daemon = True
            watch.start()
            try:
                with context.wrap_socket(plain, server_hostname=place.host) as connection:
                    yield connection
            finally:
                watch.cancel()


def _end(handle: socket.socket) -> None:
    try:
        handle.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended already


def _distrusted(place: Place, address: str, cause: ssl.SSLCertVerificationError) -> Finding:
    """Why a certificate is not taken, with what stands in it."""
    seen = _unverified(place, address)
    code = cause.verify_code
    if seen is None:
        return failed("TLS", f"the certificate is not taken: {cause.verify_message}", _call(place))
    if code in _EXPIRED:
        text = f"the certificate ended {_day(seen.not_valid_after_utc)}"
        return failed("TLS", text, f"Ask {place.whose} to install a new certificate.")
    if code in _NOT_YET:
        text = f"the certificate is not valid before {_day(seen.not_valid_before_utc)}"
        return failed("TLS", text, f"Compare our clock with another one, then ask {place.whose}.")
    if code in _OTHER_NAME:
        names = ", ".join(_names(seen)[:5]) or "no host at all"
        text = f"the certificate is for {names}, not for {place.host}"
        fix = (
            f"Write the host for which it is into {place.url_key} of {place.table}, or ask {place.whose} for"
        )
        return failed("TLS", text, f"{fix} a certificate with the name {place.host}.")
    if code not in _UNKNOWN_ISSUERS:
        return failed("TLS", f"the certificate is not taken: {cause.verify_message}", _call(place))
    print_ = seen.fingerprint(hashes.SHA256()).hex()
    if place.tls_ca is not None:
        text = f"the certificate was not issued by what is in tls_ca ({place.tls_ca}), but by {_issuer(seen)}"
        fix = f"Ask {place.whose} for its present issuer; if it has not changed, something stands between us."
        return failed("TLS", text, f"{fix} SHA-256 of what was shown: {print_}")
    text = f"the certificate was issued by {_issuer(seen)}, which this machine does not know"
    fix = (
        f"If that is {place.whose}'s own issuer, have its certificate handed over, compare its fingerprint by"
        f" telephone, and name the file: tls_ca in {place.table}. SHA-256 of what was shown: {print_}"
    )
    return failed("TLS", text, fix)


def _unverified(place: Place, address: str) -> x509.Certificate | None:
    """The certificate as it is shown, to say what is wrong with it; nothing is sent over this connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with _shaken(place, address, context) as connection:
            return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError):
        return None


def _no_handshake(place: Place, cause: Exception) -> Finding:
    reason = str(getattr(cause, "reason", "") or cause)
    if "WRONG_VERSION_NUMBER" in reason or "HTTP_REQUEST" in reason:
        fix = f"Ask {place.whose} for the port at which it speaks TLS, and write it into {place.url_key}."
        return failed("TLS", f"port {place.port} does not speak TLS", fix)
    if "PROTOCOL_VERSION" in reason or "UNSUPPORTED_PROTOCOL" in reason:
        fix = f"Ask {place.whose} to switch on TLS 1.2 or 1.3."
        return failed("TLS", "the server speaks no TLS 1.2 or 1.3", fix)
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        fix = (
            f"It may want a certificate of ours: ask {place.whose}; then set tls_certificate in {place.table}"
        )
        return failed("TLS", f"the server ended the handshake: {reason}", fix)
    late = isinstance(cause, TimeoutError)
    text = "the server does not answer the handshake" if late else f"the handshake failed: {reason}"
    return failed("TLS", text, f"Ask {place.whose} what stands in front of its server.", "network")


def _call(place: Place) -> str:
    return f"Ask {place.whose} for a certificate that this machine can check."


def _issuer(certificate: x509.Certificate) -> str:
    found = certificate.issuer.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    found = found or certificate.issuer.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    text = str(found[0].value) if found else certificate.issuer.rfc4514_string()
    return repr("".join(each if each.isprintable() else " " for each in text[:60]))


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [str(getattr(each, "value", each))[:100] for each in found]


def _day(moment: datetime) -> str:
    return f"{moment:%d %b %Y}"
