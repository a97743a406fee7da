"""`python -m node` is the command `stixnode`."""

from __future__ import annotations

from node.cli.main import main

if __name__ == "__main__":
    main()
