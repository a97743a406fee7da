"""medallion 3.0.0, the reference server of OASIS, unchanged, in a process of its own with content of ours.

    with medallion_server(folder, bodies) as place:
        place.api_root, place.user, place.password, place.collection

Its memory backend keeps everything in memory and spends quadratic time on a page, so some hundreds of
objects are what it can bear.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from node.clock import MICROSECONDS, taxii_time
from tests.support.builders import NOON
from tests.support.served import INDICATORS, free_port

USER, PASSWORD = "north-node", "a password of medallion"
START_SECONDS = 30
_MEDIA = "application/stix+json;version=2.1"


@dataclass(frozen=True, slots=True)
class MedallionPlace:
    """Where a medallion is, and how to ask it."""

    port: int
    user: str = USER
    password: str = PASSWORD
    collection: str = INDICATORS

    @property
    def api_root(self) -> str:
        """Its only API root."""
        return f"http://127.0.0.1:{self.port}/api/"


@contextmanager
def medallion_server(folder: Path, bodies: Sequence[bytes], *, page: int) -> Iterator[MedallionPlace]:
    """A medallion that holds the objects, with one date for each.

    Args:
        folder: For its two files.
        bodies: Objects with a version.
        page: Its `max_page_size`.
    """
    content = folder / "content.json"
    content.write_text(json.dumps(_content(bodies)), encoding="utf-8")
    config = folder / "medallion.json"
    backend = {
        "module": "medallion.backends.memory_backend",
        "module_class": "MemoryBackend",
        "filename": str(content),
        "session_timeout": 600,
    }
    settings = {"backend": backend, "users": {USER: PASSWORD}, "taxii": {"max_page_size": page}}
    config.write_text(json.dumps(settings), encoding="utf-8")
    place = MedallionPlace(free_port())
    with (folder / "medallion.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "medallion.scripts.run", str(config), "--port", str(place.port)],
            stdout=log,
            stderr=log,
        )
        try:
            wait_for(process, place, folder / "medallion.log")
            yield place
        finally:
            process.terminate()
            process.wait(15)


def wait_for(process: subprocess.Popen[bytes], place: MedallionPlace, log: Path) -> None:
    """Return once the server answers; its log is told when it does not."""
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            requests.get(f"http://127.0.0.1:{place.port}/taxii2/", timeout=2)
        except requests.RequestException:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"medallion did not start: {log.read_text(encoding='utf-8', errors='replace')}")


def _content(bodies: Sequence[bytes]) -> dict[str, object]:
    objects = [json.loads(body) for body in bodies]
    dates = [
        taxii_time(NOON - MICROSECONDS * 86_400 * 365 + number * 1_000) for number in range(len(objects))
    ]
    manifest = [
        {"id": one["id"], "date_added": date, "version": one["modified"], "media_type": _MEDIA}
        for one, date in zip(objects, dates, strict=True)
    ]
    collection = {
        "id": INDICATORS,
        "title": "Indicators",
        "can_read": True,
        "can_write": True,
        "media_types": [_MEDIA],
        "objects": objects,
        "manifest": manifest,
    }
    information = {
        "title": "medallion",
        "versions": ["application/taxii+json;version=2.1"],
        "max_content_length": 1_000_000,
    }
    return {
        "discovery": {"title": "medallion", "api_roots": ["api"], "default": "api"},
        "api": {"information": information, "status": [], "collections": [collection]},
    }
