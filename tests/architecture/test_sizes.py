"""A file stays short enough to be read in one sitting."""

from __future__ import annotations

from tests.architecture.reading import place, sources

MOST_LINES = 400


def test_no_file_of_the_node_is_longer_than_400_lines():
    lengths = {place(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}

    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_the_lengths_of_the_whole_node_were_looked_at():
    assert {"node/clock.py", "node/store/schema.py", "node/__main__.py"} <= {
        place(path) for path in sources()
    }
