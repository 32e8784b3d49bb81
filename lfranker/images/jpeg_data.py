"""Whether the data of a JPEG are whole.

libjpeg fills what is missing with gray, and warns. Of its decoders in Python only simplejpeg lets a
program hear that: imagecodecs, Pillow and OpenCV return the made-up pixels.
"""

import re

import simplejpeg

END = b"\xff\xd9"
DAMAGED = ("Corrupt JPEG data", "Premature end")  # how libjpeg's warnings of lost pixels begin
BEHIND = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
PADDING = 64  # bytes behind the pixels that some write; there is nothing to be lost


def require_whole(data: bytes, tables: bytes = b"") -> None:
    """Raise ValueError where the data of a JPEG end early, or cannot be those of a picture.

    ``tables``: a JPEG without pixels, which a TIFF keeps once for all of its strips or tiles. Data
    that libjpeg-turbo does not decode at all are left to the decoder.
    """
    if tables:
        data = (tables.rpartition(END)[0] or tables) + data[2:]
    try:
        simplejpeg.decode_jpeg(data, "gray", strict=True)
    except ValueError as error:
        warning = str(error)
        behind = BEHIND.search(warning)
        padding = behind is not None and int(behind[1]) <= PADDING
        if warning.startswith(DAMAGED) and not padding:
            raise ValueError(f"JPEG data are damaged or cut short ({warning})") from error
