"""Names of files that some file system, server or page takes amiss."""

NAMES = (
    "sample #3/why?",
    "50%",
    "../../up",
    "a<script>alert(1)</script>",
    '"it\'s"',
    "Gefüge µm/針",
    "é" * 125,
    "n" * 250,
    "a=3",
    "sample -3/why-",
    ".hidden",
    "x/..",
    "end ",
)
