"""Text out of bytes, however a vendor packed it: UTF-8, UTF-16, Latin-1, base64, gzip, zlib."""

import binascii
import re
import zlib

LARGEST = 1 << 22  # bytes of text that are unpacked; real metadata have some kB to 100 kB
BASE64 = re.compile(rb"[A-Za-z0-9+/\s]{32,}={0,2}\s*")
ZIPPED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")  # gzip, zlib
LAYERS = 4  # base64 of gzip of UTF-16, and one more


def decoded(data: bytes) -> str:
    """Return the text in ``data``. Bytes that are no text give whatever they spell in Latin-1."""
    for _ in range(LAYERS):
        inner = _unzipped(data) or _without_base64(data)
        if not inner:
            break
        data = inner
    return _decoded(data)


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    for codec, zeros in (("utf-16-le", data[1:400:2]), ("utf-16-be", data[:400:2])):
        if len(data) > 3 and zeros.count(0) > 0.9 * len(zeros) and b"\0" * 4 not in data[:100]:
            return data.decode(codec, errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _unzipped(data: bytes) -> bytes | None:
    if not data.startswith(ZIPPED):
        return None
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(data, LARGEST)
    except zlib.error:
        return None


def _without_base64(data: bytes) -> bytes | None:
    """Return what is inside base64; None where ``data`` is not that, or holds no text either."""
    if data[1:64:2].count(0) > 30:  # base64 in UTF-16
        data = data.replace(b"\0", b"")
    data = data.removeprefix(b"\xff\xfe").removeprefix(b"\xef\xbb\xbf").strip(b"\0 \r\n\t")
    if not BASE64.fullmatch(data):
        return None
    try:
        inner = binascii.a2b_base64(data)
    except binascii.Error:
        return None
    text = _decoded(inner[:400])
    readable = sum(letter.isprintable() or letter.isspace() for letter in text)
    is_text = bool(text) and readable > 0.9 * len(text)
    return inner if inner.startswith(ZIPPED) or is_text else None
