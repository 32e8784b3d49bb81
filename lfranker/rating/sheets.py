"""Sheets of pictures for people to rate who do not know what they see.

A sheet shows one field at one speed: the noisy and the clean scan by name, and the outputs of all
that are compared as panels A, B, C ... in an order of its own. Which panel is which is in the key,
and the key is kept away from the sheets.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from string import ascii_uppercase

import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from lfranker.arrays import Image
from lfranker.images.image_strips import GAP, TITLE, strip
from lfranker.options import check, option
from lfranker.scans.scan_set import Pair, Record

LETTERS = ascii_uppercase
PER_ROW = 4  # panels between the two references: six pictures fit a wide screen
ANCHORS = 2  # the noisy input and a filter are shown among the panels


@dataclass(frozen=True)
class SheetConfig:
    """Amount that people look at: about (sheets + repeated) x (shown + 2) ratings."""

    sheets: int = option(
        9,  # fewer where there are fewer
        "Sheets, each of another field and speed.",
        minimum=1,
    )
    shown: int = option(
        6,
        "Subsets of losses on every sheet, the first by mean rank.",
        minimum=2,
        maximum=len(LETTERS) - ANCHORS,  # each has a letter
    )
    repeated: int = option(1, "Sheets that are shown twice, to see how sure raters are.", minimum=0)

    def __post_init__(self) -> None:
        check(self)
        if self.repeated > self.sheets:
            raise ValueError(f"repeated is {self.repeated}; allowed is 0 to sheets, {self.sheets}")


@dataclass(frozen=True)
class Sheet:
    """Contents of a sheet; never to be seen by who rates it."""

    field: str
    speed: str
    place: str
    again: bool  # shows what an earlier sheet shows, under other letters
    panels: tuple[str, ...]  # names: of A, of B, ...


@dataclass(frozen=True)
class Shown:
    """One of those that are compared."""

    run: str
    baseline: bool


@dataclass(frozen=True)
class Key:
    """Contents of all sheets of a set."""

    scans: str  # digest
    shown: Mapping[str, Shown]  # by name
    sheets: tuple[Sheet, ...]

    @property
    def id(self) -> str:
        """Eight hexadecimal digits: the same only for the same key."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:8]

    def named(self) -> dict[str, Sheet]:
        """The sheets by the name that raters see. A spreadsheet does not take it for a number."""
        return {
            f"sheet-{self.id}-{number:02d}": sheet
            for number, sheet in enumerate(self.sheets, start=1)
        }

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)


def read_key(text: str) -> Key:
    """Read the text of `Key.to_json`."""
    stored = json.loads(text)
    shown = {name: Shown(**item) for name, item in stored["shown"].items()}
    sheets = (Sheet(**{**sheet, "panels": tuple(sheet["panels"])}) for sheet in stored["sheets"])
    return Key(stored["scans"], shown, tuple(sheets))


def plan_sheets(
    records: Sequence[Record], names: Sequence[str], config: SheetConfig, seed: int
) -> tuple[Sheet, ...]:
    """Every sheet shows all ``names``, shuffled by a stream of its own; repeated ones come last."""
    choosing, *streams = np.random.SeedSequence(seed).spawn(1 + config.sheets + config.repeated)
    chosen = choose(records, config.sheets, np.random.default_rng(choosing))
    sheets = [
        Sheet(record.field, record.speed, record.place, False, shuffled(names, stream))
        for record, stream in zip(chosen, streams, strict=False)
    ]
    again = zip(sheets[: config.repeated], streams[config.sheets :], strict=False)
    repeated = [
        Sheet(
            sheet.field,
            sheet.speed,
            sheet.place,
            True,
            shuffled(names, stream, unlike=sheet.panels),
        )
        for sheet, stream in again
    ]
    return (*sheets, *repeated)


def choose(records: Sequence[Record], count: int, rng: np.random.Generator) -> list[Record]:
    """Choose ``count`` pairs at most in random order: speeds evenly, then sites where possible."""
    left = [records[int(at)] for at in rng.permutation(len(records))]
    chosen: list[Record] = []
    speeds, places = Counter[str](), Counter[str]()
    while left and len(chosen) < count:
        record = min(left, key=lambda item: (speeds[item.speed], places[item.place]))
        left.remove(record)
        chosen.append(record)
        speeds[record.speed] += 1
        places[record.place] += 1
    return chosen


def shuffled(
    names: Sequence[str], stream: np.random.SeedSequence, unlike: Sequence[str] = ()
) -> tuple[str, ...]:
    """The names in random order; none at the place that it has in ``unlike``."""
    if len(names) < 2:
        raise ValueError(f"{len(names)} to compare: at least 2 are needed")
    rng = np.random.default_rng(stream)
    while True:
        order = tuple(names[int(at)] for at in rng.permutation(len(names)))
        if not any(a == b for a, b in zip(order, unlike, strict=False)):
            return order


def draw(name: str, pair: Pair, outputs: Iterable[Image]) -> PIL.Image.Image:
    """The sheet called ``name``: rows of panels between the noisy and the clean scan."""
    panels = dict(zip(LETTERS, outputs, strict=False))
    rows = -(-len(panels) // PER_ROW)
    letters = [[str(letter) for letter in part] for part in np.array_split(list(panels), rows)]
    strips = [
        strip({"noisy": pair.noisy, **{x: panels[x] for x in part}, **pair.references})
        for part in letters
    ]
    size = max(row.width for row in strips), TITLE + sum(row.height for row in strips)
    canvas = PIL.Image.new("RGB", size, "white")
    font = ImageFont.load_default(size=15)
    ImageDraw.Draw(canvas).text((GAP, 3), name, fill="black", font=font)
    top = TITLE
    for row in strips:
        canvas.paste(row, (0, top))
        top += row.height
    return canvas
