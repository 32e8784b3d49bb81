"""Files of every kind: their suffixes."""

TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
