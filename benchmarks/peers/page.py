"""What was measured, as a table and a picture: pure functions of the turns, and the files in docs/."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from peers.load import KINDS, Turn
from peers.proxies import BALANCER, DIRECT, ROOT

DOCS = ROOT / "docs"
PICTURE = "pictures/benchmark.svg"
WIDTH, ROW, LEFT, BAR = 720, 26, 130, 480


@dataclass(frozen=True, slots=True)
class Figure:
    """Medians of one proxy's turns at one kind of load; see `Turn`."""

    proxy: str
    kind: str
    cpu: float | None
    p50: float
    p99: float
    rate: float


def figures(turns: Mapping[str, Mapping[str, Sequence[Turn]]]) -> list[Figure]:
    """Cheapest first at each kind of load."""
    made = [
        Figure(
            proxy,
            kind,
            None if of_kind[0].cpu is None else statistics.median(one.cpu for one in of_kind if one.cpu is not None),
            statistics.median(one.p50 for one in of_kind),
            statistics.median(one.p99 for one in of_kind),
            statistics.median(one.rate for one in of_kind),
        )
        for proxy, kinds in turns.items()
        for kind, of_kind in kinds.items()
    ]
    order = [kind.name for kind in KINDS]
    return sorted(made, key=lambda figure: (order.index(figure.kind), figure.cpu or 0.0))


def table(found: Sequence[Figure]) -> str:
    """Markdown, a table for each kind of load; the ratio is this balancer's CPU to that proxy's."""
    units = {kind.name: kind.unit for kind in KINDS}
    ours = {figure.kind: figure.cpu for figure in found if figure.proxy == BALANCER}
    lines = []
    kind = ""
    for figure in found:
        if figure.kind != kind:
            kind, unit = figure.kind, units[figure.kind]
            lines += [
                "",
                f"### {kind[0].upper()}{kind[1:]}",
                "",
                f"| | CPU of the proxy, µs a {unit} | this balancer's to it | p50, ms | p99, ms | {unit}s a second |",
                "|---|---:|---:|---:|---:|---:|",
            ]
        cpu = "0" if figure.cpu is None else f"{figure.cpu:.0f}"
        own = ours.get(kind)
        ratio = "" if figure.cpu is None or own is None else f"{own / figure.cpu:.2f}"
        name = f"**{figure.proxy}**" if figure.proxy == BALANCER else figure.proxy
        lines.append(f"| {name} | {cpu} | {ratio} | {figure.p50:.1f} | {figure.p99:.1f} | {figure.rate:,.0f} |")
    return "\n".join(lines).strip() + "\n"


def picture(found: Sequence[Figure]) -> str:
    """Bars of the CPU for a unary call on eight connections, as SVG."""
    rows = [figure for figure in found if figure.kind == KINDS[1].name]
    most = max((figure.cpu or 0.0 for figure in rows), default=1.0) or 1.0
    title = "CPU of the proxy for a unary gRPC call, µs (8 connections, 16 calls at once)"
    parts = [f'<text x="0" y="18" font-weight="bold">{title}</text>']
    for number, figure in enumerate(rows):
        top, long = 34 + ROW * number, BAR * (figure.cpu or 0.0) / most
        colour = "#1f6feb" if figure.proxy == BALANCER else "#8b949e"
        parts += [
            f'<text x="{LEFT - 8}" y="{top + 14}" text-anchor="end">{escape(figure.proxy)}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{max(long, 1):.1f}" height="18" rx="2" fill="{colour}"/>',
            f'<text x="{LEFT + long + 6:.1f}" y="{top + 14}">{figure.cpu or 0.0:.0f}</text>',
        ]
    height = 34 + ROW * len(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#57606a">\n'
        f"<title>{title}</title>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def write(found: Sequence[Figure], rounds: int, machine: str) -> None:
    text = f"""# Beside its peers

`make bench WRITE=yes` makes this page: {rounds} rounds on {machine}. Each proxy runs before the same two gRPC servers
with the settings that it comes with, this balancer with all of its own; 16 calls are in flight. They take turns, each
round in another order, and a figure is the median of the rounds. CPU is that of all of a proxy's processes (of this
balancer, also the control plane's and the supervisor's). Client and servers are Python, so the calls a second and the
latency say what a proxy adds to those, not what it could carry. On another machine, compare the ratios; on a busy one,
proxies find fewer calls waiting at once, and each costs more.

![CPU of each proxy for a unary call]({PICTURE})

{table(found)}
*{DIRECT}* stands for a client connected to one of the servers: it has no proxy's CPU, and no balancing.
"""
    (DOCS / "benchmark.md").write_text(text)
    (DOCS / PICTURE).write_text(picture(found))
