"""node/cli/file_checks.py: the files that the configuration names, each way they can be wrong."""

from __future__ import annotations

import shutil

import pytest

from tests.cli.desk import Desk
from tests.support.certificates import a_certificate


def with_tls(desk: Desk, certificate: str = "one.pem", key: str = "one.key") -> Desk:
    a_certificate(desk.folder, "one")
    a_certificate(desk.folder, "two")
    for path in desk.folder.glob("*.key"):
        path.chmod(0o600)
    text = desk.config.read_text(encoding="utf-8")
    files = f'tls_certificate = "{certificate}"\ntls_private_key = "{key}"'
    desk.write("config.toml", text.replace("[server]\n", f"[server]\n{files}\n"))
    return desk


def test_a_certificate_with_its_key_is_sound(desk: Desk):
    answer = with_tls(desk).run("check")

    assert answer.code == 0
    assert "belong together, valid until" in answer.out
    assert "note " not in answer.out


@pytest.mark.parametrize(
    ("certificate", "key", "problem"),
    [
        ("one.pem", "two.key", "do not belong together"),
        ("gone.pem", "one.key", "cannot be read"),
        ("one.key", "one.key", "cannot be read as PEM"),
        ("one.pem", "one.pem", "no PKCS#8 key"),
    ],
)
def test_tls_files_that_cannot_be_used_fail_the_check(desk: Desk, certificate, key, problem):
    answer = with_tls(desk, certificate, key).run("check")

    assert answer.code == 2
    assert problem in answer.out


def test_a_secret_that_others_may_read_is_a_note(desk: Desk):
    desk.write("south.token", "sn_x\n").chmod(0o644)
    desk.with_partner(more='username = "north"\npassword_file = "south.token"')

    answer = desk.run("check")

    assert answer.code == 0
    assert "note  secret" in answer.out
    assert f"Try: Run: chmod 600 {desk.folder / 'south.token'}" in answer.out


def test_a_secret_that_is_not_there_fails_the_check(desk: Desk):
    desk.with_partner(more='username = "north"\npassword_file = "south.token"')

    assert "[partner.south] password_file: " in desk.run("check").out
    assert desk.run("check").code == 2


def test_an_issuer_that_is_no_certificate_fails_the_check(desk: Desk):
    a_certificate(desk.folder, "one")
    shutil.copy(desk.folder / "one.key", desk.folder / "ca.pem")
    desk.with_partner(more='tls_ca = "ca.pem"')

    answer = desk.run("check")

    assert answer.code == 2
    assert "holds no certificate" in answer.out


@pytest.mark.parametrize(
    ("key", "code", "said"),
    [("one", 0, "belong together, valid until"), ("two", 2, "do not belong together")],
)
def test_a_certificate_for_a_partner_and_its_key_are_looked_at(desk: Desk, key: str, code: int, said: str):
    a_certificate(desk.folder, "one")
    a_certificate(desk.folder, "two")
    desk.with_partner(more=f'tls_certificate = "one.pem"\ntls_private_key = "{key}.key"')

    answer = desk.run("check")

    assert said in answer.out
    assert answer.code == code
