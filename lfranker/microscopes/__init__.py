"""Files of the vendors' microscopes: one module a vendor, and what they say of a scan in one form.

`reading` finds the vendor of a file. fei, zeiss, tescan, fibics and jeol read a private tag of
their TIFFs; all but fibics, and hitachi, a text beside the image (`sidecars`) or in a PNG or JPEG
(`picture_headers`), whatever it is packed in (`packed_text`).
"""
