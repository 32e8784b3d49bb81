"""The words of a plot, read from its SVG."""

from xml.etree import ElementTree


def texts(svg: str) -> list[str | None]:
    """Return the text of every text element, in the order of the file."""
    return [e.text for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("text")]
