"""docs/losses.md, made of what is declared of each loss and of its measured cost."""

from collections.abc import Iterator, Mapping

from lfranker.losses.documentation import NOTES, Note
from lfranker.losses.registry import LOSSES, LossSpec

HEAD = """\
# The losses

Any of these may be named wherever a set of losses is: `-P losses=mae,ssim,fft`, or
`python -m entrypoints.train --losses fft+charbonnier`. A loss of your own is `module:function`, a
function `(output, target)` of two `(b, 1, h, w)` tensors, the target in [0, 1], that returns a
scalar to be minimised; its module must be in the working directory or on `PYTHONPATH`.

x is the output, y the target, d = x - y; brightness is 0 to 1. A subset without any loss that may
stand alone is not trained. The laws are: the declared minimum is reached at the target; the loss
falls all the way along the straight line from any other image to the target; value and gradient are
finite for constant patches and values outside [0, 1]; the gradient is the derivative. A test holds
every loss to those that it does not declare broken, and to its invariances.

`python benchmarks/losses.py --docs` makes this page. Cost: a forward and backward pass for 8
patches of 64 x 64 px, processor time, without the network, relative to mae's; {measured}.

| loss | cost | smallest patch, px | alone | weights | unchanged by | breaks |
|---|---:|---:|---|---|---|---|
"""


def page(measured: str, costs: Mapping[str, float]) -> str:
    """``costs`` relative to mae, by name; ``measured`` says when and on what."""
    rows = [_row(name, spec, costs[name]) for name, spec in LOSSES.items()]
    sections = [line for name in LOSSES for line in _section(name, NOTES[name])]
    return "\n".join([HEAD.format(measured=measured) + "\n".join(rows), *sections]) + "\n"


def _row(name: str, spec: LossSpec, cost: float) -> str:
    cells = (
        f"[{name}](#{name})",
        f"{cost:.1f}" if cost < 10 else f"{cost:.0f}",
        str(spec.smallest_patch),
        "yes" if spec.alone else "no",
        "yes" if spec.needs_weights else "",
        ", ".join(sorted(spec.invariances)),
        ", ".join(sorted(spec.breaks)),
    )
    return f"| {' | '.join(cells)} |"


def _section(name: str, note: Note) -> Iterator[str]:
    yield f"\n## {name}\n"
    yield f"- formula: {note.formula}"
    yield f"- source: {note.source}"
    yield f"- range: {note.range}"
    yield f"- {note.caveats}"
