"""The server of the interoperability document, for the modules that ask its cases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.document import Document, a_document
from tests.support import databases


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def document(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Document]:
    """The four collections; the one to read holds five versions of the indicator and two other objects."""
    folder = tmp_path_factory.mktemp("interop")
    with databases.opened(request, request.param, folder) as database:
        yield a_document(database, folder)
