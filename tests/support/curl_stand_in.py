"""The part of curl that docs/clients/curl.md uses, for machines without it; run as a program.

An option that it does not know ends it with 2, so that the page cannot use more than is tested.
"""

from __future__ import annotations

import http.client
import ssl
import sys
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote, urlsplit

WITH_VALUE = {
    "--config", "--data", "--data-urlencode", "--data-binary", "--header", "--dump-header", "--output",
    "--cacert", "--user",
}  # fmt: skip
BARE = {"--get", "--fail", "--silent", "--show-error"}


def configured(path: str) -> list[str]:
    """The arguments that stand in a file for --config."""
    found: list[str] = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        name, equals, value = line.partition(" = ")
        found += [f"--{name}", value.strip('"')] if equals else [f"--{name}"]
    return found


def main(arguments: list[str]) -> int:
    """What curl would do; its exit code."""
    given: list[tuple[str, str]] = []
    urls: list[str] = []
    left = list(arguments)
    while left:
        word = left.pop(0)
        if word in WITH_VALUE:
            value = left.pop(0)
            if word == "--config":
                left = configured(value) + left
            else:
                given.append((word, value))
        elif word in BARE:
            given.append((word, ""))
        elif word.startswith("-"):
            sys.stderr.write(f"curl: option {word}: is unknown\n")
            return 2
        else:
            urls.append(word)
    return carried_out(given, urls[0])


def carried_out(given: list[tuple[str, str]], url: str) -> int:
    """One request."""
    options = dict(given)
    data = [encoded(*each) for each in given if each[0].startswith("--data")]
    headers = dict(value.split(": ", 1) for name, value in given if name == "--header")
    headers["Authorization"] = "Basic " + b64encode(options["--user"].encode()).decode()
    parts, body = urlsplit(url), None
    if data and "--get" in options:
        url = f"{url}?{'&'.join(each.decode() for each in data)}"
    elif data:
        body = b"&".join(data)
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=options.get("--cacert"))
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.netloc, timeout=30, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    target = url.split(parts.netloc, 1)[1]
    connection.request("GET" if body is None else "POST", target, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    if "--dump-header" in options:
        lines = [
            f"HTTP/1.1 {answer.status} {answer.reason}",
            *(f"{n}: {v}" for n, v in answer.getheaders()),
            "",
            "",
        ]
        Path(options["--dump-header"]).write_bytes("\r\n".join(lines).encode())
    if answer.status >= 400 and "--fail" in options:
        return 22
    if "--output" in options:
        Path(options["--output"]).write_bytes(content)
    else:
        sys.stdout.buffer.write(content)
    return 0


def encoded(option: str, value: str) -> bytes:
    """What an option gives to the address or the body."""
    if option == "--data-binary" and value.startswith("@"):
        return Path(value[1:]).read_bytes()
    if option == "--data-urlencode":
        name, _, rest = value.partition("=")
        return f"{name}={quote(rest, safe='')}".encode()
    return value.encode()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
