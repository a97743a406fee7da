"""The import contracts of pyproject.toml: kept by the tree, and able to catch what they are for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.reading import NODE, ROOT

LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"

# contract, what is planted in the tree (file and its text)
PLANTED = [
    ("Imports point downwards only", {"stix/planted.py": "import node.store.schema"}),
    ("Imports point downwards only", {"unplaced.py": ""}),
    (
        "No cycles between siblings, at any depth",
        {"stix/one.py": "import node.stix.two", "stix/two.py": "import node.stix.one"},
    ),
    (
        "Objects enter and leave through node.exchange alone",
        {"taxii/planted.py": "import node.store.objects"},
    ),
    ("The rules are pure", {"sharing/planted.py": "import sqlalchemy"}),
    ("stix2 is known to node.stix and to the demo alone", {"exchange/planted.py": "import stix2"}),
    ("taxii2client is known to node.sync.client alone", {"sync/planted.py": "import taxii2client.v21"}),
    (
        "click and rich are known to node.cli alone, granian to node.web",
        {"sync/planted.py": "import rich.progress"},
    ),
    ("flask is known to node.taxii and node.web alone", {"exchange/planted.py": "from flask import request"}),
    ("medallion is known to node.medallion_backend alone", {"sync/planted.py": "import medallion"}),
    ("prometheus_client is known to node.metrics alone", {"taxii/planted.py": "import prometheus_client"}),
    ("sqlalchemy is known to those who own tables", {"cli/planted.py": "import sqlalchemy"}),
]


def _lint(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )


def test_every_import_contract_is_kept():
    answer = _lint(ROOT)

    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(("contract", "files"), PLANTED, ids=[" and ".join(files) for _, files in PLANTED])
def test_a_planted_violation_breaks_its_contract(tmp_path, contract, files):
    shutil.copytree(NODE, tmp_path / "node", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for file, text in files.items():
        (tmp_path / "node" / file).write_text(f"{text}\n", encoding="utf-8")

    answer = _lint(tmp_path)

    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert f"{contract} BROKEN" in answer.stdout
