"""medallion's own application in this process: its views, errors and configuration, unchanged.

    app = stock_application({"module": ..., "module_class": ...}, page=20)

An application of its own each time: the one that medallion keeps takes its views once in a process.
"""

from __future__ import annotations

from collections.abc import Mapping

import medallion
from flask import Flask
from medallion.exceptions import BackendError, ProcessingError

USER, PASSWORD = "reader", "a password of medallion"


def stock_application(backend: Mapping[str, object], *, page: int = 100) -> Flask:
    """The application for one user, as `medallion.scripts.run` would configure it.

    Args:
        backend: The table of that name in medallion's configuration.
        page: Its `max_page_size`.
    """
    app = Flask("medallion")
    settings = {"users": {USER: PASSWORD}, "taxii": {"max_page_size": page}, "backend": dict(backend)}
    for name in ("users", "taxii", "backend"):
        medallion.set_config(app, name, settings)
    medallion.register_blueprints(app)
    app.register_error_handler(500, medallion.handle_error)
    app.register_error_handler(ProcessingError, medallion.handle_processing_error)
    app.register_error_handler(BackendError, medallion.handle_backend_error)
    return app
