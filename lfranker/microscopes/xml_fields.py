"""XML as fields: a text for each path of elements."""

import re
from xml.etree import ElementTree

DECLARATION = re.compile(r"^[^<]*<\?xml[^>]*\?>", re.ASCII)


def xml_texts(text: str) -> dict[str, str]:
    """Return the texts of an XML document by path below its root: "Scan.Dwell" -> "1000 ns".

    A unit that is given as an attribute follows its number; an element that has an attribute "id"
    or "name" is called by it, too: "axis[X]". The first of equal paths counts. Raises ValueError
    where the text is no XML, or defines entities, which no microscope does.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("it defines entities")
    try:
        root = ElementTree.fromstring(DECLARATION.sub("", text).strip("\0 \r\n\t"))
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
