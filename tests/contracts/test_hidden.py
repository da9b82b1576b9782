"""Passwords in addresses: neither printed nor recorded."""

from __future__ import annotations

import pytest

from stillhouse.contracts.hidden import has_password, hide


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://anna:s3cret@host:5000/a", "http://***@host:5000/a"),
        (
            "could not reach 'postgresql+psycopg://anna:p%40ss@db.example/x' now",
            "could not reach 'postgresql+psycopg://***@db.example/x' now",
        ),
        ("https://anna:a@b@host/x", "https://***@host/x"),
        ("https://ghp_abcdef@github.com/a/b.git", "https://***@github.com/a/b.git"),
        ("https://host/x?access_token=abc&page=2", "https://host/x?access_token=***&page=2"),
        ("https://b.example/x?sv=1&sig=abc%2F&se=2", "https://b.example/x?sv=1&sig=***&se=2"),
        ("s3://k:s@[::1]/bucket (refused)", "s3://***@[::1]/bucket (refused)"),
        ("http://host/users/anna@example.org", "http://host/users/anna@example.org"),
        ("teach@rings: sqlite:////home/a/mlflow.db", "teach@rings: sqlite:////home/a/mlflow.db"),
    ],
)
def test_an_address_keeps_all_but_its_secrets(text: str, shown: str):
    assert hide(text) == shown
    assert hide(shown) == shown


def test_secrets_of_the_environment_are_found_wherever_they_stand(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://anna:pa%2Fss:w@host")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    assert hide("refused: 'pa/ss:w' or pa%2Fss:w or t0ken") == "refused: '***' or *** or ***"


def test_a_user_alone_is_no_password():
    assert has_password("url = https://anna:x@host/")
    assert not has_password("url = ssh://git@host/ or anna:x@host")
