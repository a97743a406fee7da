"""The client for one partner: `taxii2-client` spoken through our own guarded line.

Rule    taxii2-client makes addresses and parameters; everything that touches the network is ours
        (`connection.py`), and so are paging and polling, which it gets wrong. Rights are the partner's
        to judge: no request is spent on asking for them first.

The headers of our own kind (`X-Exchange-Epoch`, `-Terms`, `-Batch`) go to and are believed from
partners of kind stixnode only.

Reads   as `connection.py`. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from requests.adapters import BaseAdapter
from taxii2client.common import _HTTPConnection
from taxii2client.exceptions import TAXIIServiceException
from taxii2client.v21 import ApiRoot, Collection

from node.errors import ConfigError, PartnerRefused
from node.sharing.links import PartnerBinding
from node.sync.answers import (
    CollectionFlags,
    FetchedPage,
    ManifestPage,
    Status,
    read_collection,
    read_manifest,
    read_page,
    read_resource,
    read_status,
)
from node.sync.connection import Answer, Line, Patience

NO_ANSWER = Answer(0, {}, b"")
LONGEST_CONTENT = 100 * 1024 * 1024
_Told = TypeVar("_Told", CollectionFlags, FetchedPage, Status)
_ALL_VERSIONS: dict[str, Any] = {"version": "all", "spec_version": ("2.0", "2.1")}


class _Connection(_HTTPConnection):  # type: ignore[misc]  # taxii2-client has no types
    """taxii2-client's connection, with the guarded line in place of its session.

    `headers` are added to every request; `answer` is the last one, of which taxii2-client would
    otherwise hide the headers.
    """

    def __init__(self, line: Line) -> None:
        super().__init__(version="2.1")
        self.session.close()
        self.line = line
        self.headers: Mapping[str, str] = {}
        self.answer = NO_ANSWER

    def get(self, url: str, headers: Any = None, params: Any = None) -> Any:
        self.answer = self.line.exchange("GET", url, headers=self.headers, params=params)
        if url.endswith("/objects/"):
            return self.answer
        return read_resource(self.line.partner, self.answer)

    def post(self, url: str, headers: Any = None, params: Any = None, **kwargs: Any) -> Any:
        self.answer = self.line.exchange(
            "POST", url, headers=self.headers, params=params, body=kwargs["data"]
        )
        return read_resource(self.line.partner, self.answer)

    def close(self) -> None:
        self.line.close()


class Partner:
    """One partner's server, as we ask it; used by one thread at a time.

    Args:
        binding: Where it is, and the credential.
        now: Microseconds; only for a `Retry-After` that is a date.
        transport: Stands in for the network in tests.
        patience: Timeouts and size of an answer.

    Raises:
        ConfigError: The binding has no usable address.
    """

    def __init__(
        self,
        binding: PartnerBinding,
        *,
        now: Callable[[], int],
        transport: BaseAdapter | None = None,
        patience: Patience | None = None,
    ) -> None:
        if not binding.api_root:
            raise ConfigError(
                f"[partner.{binding.name}] has no api_root, and a flow that we carry needs it.",
                remedy='Write api_root = "https://..." there, or let the partner carry in the agreement.',
            )
        self.name: str = binding.name
        self.kind: Literal["stixnode", "taxii"] = binding.kind
        self.api_root = binding.api_root if binding.api_root.endswith("/") else binding.api_root + "/"
        self._line = Line(
            binding.name,
            self.api_root,
            username=binding.username,
            password_file=binding.password_file,
            tls_ca=binding.tls_ca,
            shown=_shown(binding),
            transport=transport,
            patience=patience or Patience(),
            now=now,
        )
        self._connection = _Connection(self._line)
        self._longest: int | None = None

    def collection(self, collection: str, headers: Mapping[str, str] | None = None) -> CollectionFlags:
        """What the partner says of one of its collections.

        Args:
            collection: Its id or alias there.
            headers: Of our own kind.

        Raises:
            PartnerError: As in `Line.exchange`; so do all methods.
        """
        self._say(headers)
        resource = self._connection.get(self._collection(collection).url)
        return self._ours(read_collection(resource, self._connection.answer.headers))

    def objects_page(
        self,
        collection: str,
        *,
        added_after: str | None,
        next: str | None,
        limit: int,
        headers: Mapping[str, str] | None = None,
    ) -> FetchedPage:
        """One page of every version of every object in both spec versions.

        Args:
            collection: The partner's id or alias.
            added_after: The partner's own text, as it was given to us; None from the start.
            next: The partner's position within this run.
            limit: How many objects we would like.
            headers: Of our own kind.
        """
        self._say(headers)
        answer = self._collection(collection).get_objects(
            limit=limit, added_after=added_after, next=next, **_ALL_VERSIONS
        )
        self._connection.answer = NO_ANSWER  # a page is large, and is kept no longer than it is needed
        return self._ours(read_page(self.name, answer))

    def manifest_page(
        self,
        collection: str,
        *,
        ids: Sequence[str],
        next: str | None,
        limit: int,
        added_after: str | None = None,
    ) -> ManifestPage:
        """One page of what the partner says it has of some ids (of all: none given)."""
        self._say(None)
        resource = self._collection(collection).get_manifest(
            limit=limit, id=list(ids), next=next, added_after=added_after, **_ALL_VERSIONS
        )
        return read_manifest(self.name, resource)

    def add_objects(
        self, collection: str, envelope: bytes, headers: Mapping[str, str] | None = None
    ) -> Status:
        """The status with which the partner answers a POST."""
        self._say(headers)
        # Not through Collection.add_objects: it refuses a status whose counts do not add up, and then the
        # answer, which may be the only one we get, would be lost.
        resource = self._connection.post(self._collection(collection).objects_url, data=envelope)
        return self._ours(read_status(resource, self._connection.answer.headers))

    def status(self, status_id: str) -> Status:
        """A status, asked again; only from this partner's own API root, whatever address it names."""
        self._say(None)
        resource = self._connection.get(f"{self.api_root}status/{quote(status_id, safe='')}/")
        return read_status(resource, self._connection.answer.headers)

    def beside(
        self, path: str, *, headers: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer of one of our own kind at an address beside its API root.

        Args:
            path: Below what the API root lies in, such as `exchange/books/indicators/given/`.
            headers: Of our own kind.
            params: Query parameters.
        """
        self._say(headers)
        above = self.api_root.rstrip("/").rpartition("/")[0]
        return self._line.exchange("GET", f"{above}/{path}", headers=self._connection.headers, params=params)

    def max_content_length(self) -> int:
        """How many bytes the partner takes in one POST; asked once in the client's life."""
        if self._longest is None:
            self._say(None)
            root = ApiRoot(self.api_root, conn=self._connection)
            try:
                length = root.max_content_length
            except (TAXIIServiceException, PartnerRefused, TypeError):
                length = None  # some servers leave out what the standard requires, or the resource itself
            self._longest = length if isinstance(length, int) and length > 0 else LONGEST_CONTENT
        return self._longest

    def interrupt(self) -> None:
        """End the request that is under way, from another thread; it becomes a PartnerUnreachable."""
        self._line.interrupt()

    def end(self) -> None:
        """End the request that is under way, from another thread; every later one fails at once."""
        self._line.end()

    @property
    def traffic(self) -> tuple[int, int]:
        """How many requests were sent until now, and the bytes of all bodies, both ways."""
        return self._line.requests, self._line.bytes

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def _collection(self, collection: str) -> Collection:
        if not collection or "/" in collection or not collection.isprintable():
            raise PartnerRefused(
                f"{collection[:60]!r} is not the id of a collection.",
                remedy=f"See [partner.{self.name}.their_ids] in config.toml.",
            )
        place = quote(collection, safe="-")
        information = {"id": place, "title": place, "can_read": True, "can_write": True}
        url = f"{self.api_root}collections/{place}/"
        return Collection(url, conn=self._connection, collection_info=information)

    def _say(self, headers: Mapping[str, str] | None) -> None:
        self._connection.headers = dict(headers or {}) if self.kind == "stixnode" else {}

    def _ours(self, value: _Told) -> _Told:
        return value if self.kind == "stixnode" else replace(value, epoch="", terms="")


def _shown(binding: PartnerBinding) -> tuple[str, str] | None:
    if binding.tls_certificate is None or binding.tls_private_key is None:
        return None
    return binding.tls_certificate, binding.tls_private_key
