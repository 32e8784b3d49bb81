"""Texts without secrets: what is logged, printed or stored never holds a password.

A secret is what stands before the @ of an address, a value of a query that is named as one, the
word after `Authorization: Basic`, and the value of an environment variable that is named as one
(MLFLOW_TRACKING_PASSWORD, AWS_SECRET_ACCESS_KEY, HF_TOKEN and the like).
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

HIDDEN = "***"
SHORTEST = 4  # characters; a shorter value would be hidden in words that have nothing to do with it
SECRET_NAMES = re.compile(  # how they end
    "(?:PASSWORD|PASSWD|TOKEN|SECRET|ACCESS_KEY|ACCOUNT_KEY|CONNECTION_STRING)$"
)
USER_PART = re.compile(r"(?<=://)[^\s/?#\"'<>]*@")
IN_QUERY = re.compile(
    r"(?i)([?&;](?:password|passwd|pwd|token|access_token|secret|sig|signature|key|api_key"
    r"|x-amz-signature|x-amz-credential|x-amz-security-token)=)[^&;\s\"'<>]+"
)
IN_HEADER = re.compile(r"(?i)(authorization['\"]?\s*[:=]\s*['\"]?(?:basic|bearer)\s+)[^\s'\",]+")


def address_shown(text: str) -> str:
    """Return a text whose addresses have no passwords; other words stay as they are."""
    text = USER_PART.sub(f"{HIDDEN}@", text)
    return IN_HEADER.sub(rf"\1{HIDDEN}", IN_QUERY.sub(rf"\1{HIDDEN}", text))


def redacted(text: str, more: Mapping[str, str] | None = None) -> str:
    """Return a message or a log without passwords, tokens and keys.

    ``more``: variables of another process, whose secrets are taken out as well as this one's.
    """
    for secret in _secrets(os.environ, more or {}):
        text = text.replace(secret, HIDDEN)
    return address_shown(text)


def redact_file(path: Path) -> None:
    """Take the secrets out of a text file, which is replaced only where it has some."""
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    clean = redacted(text)
    if clean != text:
        path.write_text(clean, encoding="utf-8", errors="surrogateescape")


def _secrets(*environments: Mapping[str, str]) -> list[str]:
    """Return the secrets of environments, plain and as an address has them, longest first."""
    values = {
        value
        for environment in environments
        for name, value in environment.items()
        if SECRET_NAMES.search(name.upper()) and len(value) >= SHORTEST and not _is_path(value)
    }
    return sorted({*values, *(quote(value, safe="") for value in values)}, key=len, reverse=True)


def _is_path(value: str) -> bool:
    """Return whether a variable names a file that holds the secret, and not the secret itself."""
    return value.startswith(("/", "~", "./")) and Path(value).expanduser().exists()
