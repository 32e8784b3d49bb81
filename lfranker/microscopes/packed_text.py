"""Text out of bytes, however a vendor packed it: UTF-16, Latin-1, base64, gzip, zlib; XML."""

import binascii
import re
import zlib
from xml.etree import ElementTree  # nosec B405

LARGEST = 1 << 22  # bytes of text that are unpacked; real metadata have some kB to 100 kB
BASE64 = re.compile(rb"[A-Za-z0-9+/\s]{32,}={0,2}\s*")
ZIPPED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")  # gzip, zlib
DECLARATION = re.compile(r"^[^<]*<\?xml[^>]*\?>", re.ASCII)
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


def xml_texts(text: str) -> dict[str, str]:
    """Return the texts of an XML document by path below its root: "Scan.Dwell" -> "1000 ns".

    A unit that is given as an attribute follows its number; an element that has an attribute "id"
    or "name" is called by it, too: "axis[X]". The first of equal paths counts. Raises ValueError
    where the text is no XML, or defines entities, which no microscope does.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("it defines entities")
    try:
        # without entities there is nothing to expand or to fetch
        root = ElementTree.fromstring(DECLARATION.sub("", text).strip("\0 \r\n\t"))  # nosec B314
    except ElementTree.ParseError as error:
        raise ValueError(f"no XML: {error}") from error
    texts: dict[str, str] = {}
    _collect(root, "", texts)
    return texts


def _collect(parent: ElementTree.Element, above: str, texts: dict[str, str]) -> None:
    for element in parent:
        attributes = {_local(name).lower(): value for name, value in element.attrib.items()}
        name = attributes.get("id") or attributes.get("name")
        path = above + _local(element.tag) + (f"[{name}]" if name else "")
        unit = attributes.get("units") or attributes.get("unit") or ""
        content = (element.text or "").strip() or attributes.get("value", "")
        texts.setdefault(path, f"{content} {unit}".strip())
        _collect(element, f"{path}.", texts)


def _local(name: str) -> str:
    """Return a name without its namespace."""
    return name.rpartition("}")[2]
