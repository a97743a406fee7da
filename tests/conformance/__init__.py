"""The conformance suite: TAXII 2.1 as a client sees it, over HTTP alone, against any `Target`.

    python -m pytest tests/conformance               our server, on SQLite and on PostgreSQL
    python -m tests.conformance                      the same with counts for each section of the list
    python -m tests.conformance --target medallion   the reference server, which fails where it should

Rule: a test knows the standard and nothing of the server; what no request can do (a right given, time
passing, a restart) it asks of the target. The list of requirements is `reference/taxii-conformance.md`
of the shared folder; a test names the numbers it proves in the first line of its docstring or in the
id of a parameter, exactly as the list writes them. `test_numbers.py` finds numbers without a test.
"""
