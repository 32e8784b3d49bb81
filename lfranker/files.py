"""Files of every kind: their suffixes, and which page of a TIFF is the image."""

import tifffile

TIFF_SUFFIXES = frozenset({".tif", ".tiff"})


def full_size_page(tiff: tifffile.TiffFile) -> tifffile.TiffPage | None:
    """Return the first page that is not marked as a thumbnail; None where there is none."""
    pages = (page for page in tiff.pages if isinstance(page, tifffile.TiffPage))
    return next((page for page in pages if not page.is_reduced), None)
