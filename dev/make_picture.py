"""Draws docs/pictures/calls.svg from what `make demo` measured: 100 / 0 behind an NLB becomes 50 / 50.

An SVG without a script: the bars grow once, and stand still for readers who prefer less motion.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "build/demo.json"
PICTURE = ROOT / "docs/pictures/calls.svg"

PANELS = (
    ("layer 4: all calls of one connection", "Network Load Balancer", "one connection, one task", "#c2410c"),
    ("balancer: the calls of one connection", "GrpcBalancedService", "one connection, every task", "#0f766e"),
)
"""How the demo's claim begins, what the panel is called, what it shows, its colour."""

WIDTH, HEIGHT, PANEL = 720, 210, 360
BAR, ROW, TOP = 220, 46, 86

STYLE = """\
svg { font-family: system-ui, sans-serif }
.paper { fill: #fff } .ink { fill: #1f2937 } .faint { fill: #6b7280 } .track { fill: #e5e7eb }
@media (prefers-color-scheme: dark) {
  .paper { fill: #0f172a } .ink { fill: #f1f5f9 } .faint { fill: #94a3b8 } .track { fill: #1e293b }
}
@media (prefers-reduced-motion: no-preference) {
  .bar { transform-box: fill-box; transform-origin: left; animation: grow 1.6s ease-out both }
  .second .bar, .second .count { animation-delay: 1.8s }
  .count { animation: appear .4s ease-out 1.4s both }
  .second .count { animation-delay: 3.2s }
}
@keyframes grow { from { transform: scaleX(0) } }
@keyframes appear { from { opacity: 0 } }
"""


def picture(demo: dict[str, Any]) -> str:
    """The SVG. Raises ValueError where the demo did not get as far as its first two claims."""
    panels = [
        _panel(number, title, note, colour, _calls_per_task(demo, claim))
        for number, (claim, title, note, colour) in enumerate(PANELS)
    ]
    shares = [" / ".join(map(str, _calls_per_task(demo, claim))) for claim, *_ in PANELS]
    told = f"100 calls of one connection: {shares[0]} behind a Network Load Balancer, {shares[1]} with this library"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{escape(told)}">\n'
        f"<title>{escape(told)}</title>\n<style>\n{STYLE}</style>\n"
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="12"/>\n' + "\n".join(panels) + "\n</svg>\n"
    )


def _calls_per_task(demo: dict[str, Any], claim: str) -> list[int]:
    for each in demo["claims"]:
        if each["text"].startswith(claim):
            return list(each["figures"]["calls_per_task"])
    raise ValueError(f"build/demo.json must have the claim {claim!r}, got none: run make demo to its end")


def _panel(number: int, title: str, note: str, colour: str, counts: Sequence[int]) -> str:
    return "\n".join(_lines(number, title, note, colour, counts))


def _lines(number: int, title: str, note: str, colour: str, counts: Sequence[int]) -> Iterator[str]:
    left = 28
    yield f'<g transform="translate({number * PANEL} 0)"{" class=" + chr(34) + "second" + chr(34) if number else ""}>'
    yield f'<text class="ink" x="{left}" y="40" font-size="18" font-weight="700">{escape(title)}</text>'
    yield f'<text class="faint" x="{left}" y="62" font-size="13">{escape(note)}</text>'
    for row, count in enumerate(counts):
        top = TOP + row * ROW
        yield f'<text class="faint" x="{left}" y="{top + 19}" font-size="13">task {row + 1}</text>'
        yield f'<rect class="track" x="{left + 50}" y="{top}" width="{BAR}" height="28" rx="6"/>'
        width = round(BAR * count / max(1, sum(counts)))
        if width:
            yield f'<rect class="bar" fill="{colour}" x="{left + 50}" y="{top}" width="{width}" height="28" rx="6"/>'
        yield (
            f'<text class="ink count" x="{left + 60 + BAR}" y="{top + 20}" font-size="17" font-weight="700">'
            f"{count}</text>"
        )
    yield "</g>"


def main() -> int:
    if not DEMO.exists():
        print("error: build/demo.json is missing: run make demo first", file=sys.stderr)
        return 1
    PICTURE.write_text(picture(json.loads(DEMO.read_text())))
    print(f"wrote {PICTURE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
