"""Texts that are kept or shown have no secrets."""

from pathlib import Path

import pytest

from lfranker.redaction import address_shown, redact_file, redacted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at: http://me:s3cr3t@host:5000/#/runs/1", "at: http://***@host:5000/#/runs/1"),
        ("postgresql+psycopg2://me:p@ss@db/mlflow", "postgresql+psycopg2://***@db/mlflow"),
        ("https://TOKEN@github.com/a/b.git", "https://***@github.com/a/b.git"),
        ("s3://b/k?X-Amz-Signature=abc&x=1", "s3://b/k?X-Amz-Signature=***&x=1"),
        ("mssql://h/d?driver=x;PWD=abc;y=1", "mssql://h/d?driver=x;PWD=***;y=1"),
        ("{'Authorization': 'Basic bWU6cw=='}", "{'Authorization': 'Basic ***'}"),
        # what has no secret stays
        ("models:/lfranker@champion", "models:/lfranker@champion"),
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
        ("http://host:5000/#/models/a@b", "http://host:5000/#/models/a@b"),
        ("me@host said: key=3, token of the loss", "me@host said: key=3, token of the loss"),
    ],
)
def test_addresses_are_shown_without_passwords(text: str, shown: str) -> None:
    assert address_shown(text) == shown
    assert redacted(text) == shown


def test_values_of_secret_variables_are_hidden_as_they_are_and_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    key.touch()
    secrets = {
        "MLFLOW_TRACKING_PASSWORD": "a/b c",
        "AWS_SECRET_ACCESS_KEY": "longer than",
        "OTHER_TOKEN": "longer than a part",
        "HF_TOKEN": "1",  # too short to be told from a number
        "TOKENIZERS_PARALLELISM": "false",  # not a secret
        "SSH_SECRET": str(key),  # the file that has it
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    text = f"a/b c, a%2Fb%20c, longer than a part, longer than; 1 false {key}"
    assert redacted(text) == f"***, ***, ***, ***; 1 false {key}"
    assert address_shown(text) == text


def test_a_log_loses_its_secrets_and_keeps_the_rest(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(b"one\nat http://me:secret@host \xff\nthree\n")
    redact_file(log)
    assert log.read_bytes() == b"one\nat http://***@host \xff\nthree\n"


def test_secrets_of_another_process_are_hidden_beside_our_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "our-word")
    shown = redacted("our-word and their-word", {"MLFLOW_TRACKING_PASSWORD": "their-word"})
    assert shown == "*** and ***"
