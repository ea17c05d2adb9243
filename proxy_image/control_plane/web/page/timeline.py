"""The timeline: what each document that was put into use changed, why, and how long it took."""

from __future__ import annotations

from collections.abc import Iterable

from proxy_image.control_plane.report import formats
from proxy_image.control_plane.report.report import Report
from proxy_image.control_plane.stats.history.entries import Change
from proxy_image.control_plane.web.page.markup import Html, joined, tag
from proxy_image.control_plane.web.page.parts import moment


def change_list(changes: Iterable[Change], report: Report, *, heading: str) -> Html:
    """The timeline: what each document that was put into use changed; heading: the element of each one's title."""

    def lines(change: Change) -> Iterable[Html]:
        for sign, word, count, named in (
            ("+", "joined", change.joined_count, change.joined),
            ("~", "draining", change.drained_count, change.drained),
            ("−", "left", change.left_count, change.left),
        ):
            for target in named:
                yield tag("li", tag("span", f"{sign} {word}", class_=f"sign {word}"), " ", target)
            if count > len(named):
                yield tag("li", f"and {count - len(named):,} more {word}")
        for said in change.settings:
            yield tag("li", tag("span", "·", class_="sign"), " ", said)

    return tag(
        "ol",
        *(
            tag(
                "li",
                tag(
                    heading,
                    moment(change.at, report),
                    tag("code", change.generation),
                    tag(
                        "span",
                        f"from {formats.origin(change.origin)}, {formats.count(change.targets, 'target')}",
                        class_="ago",
                    ),
                ),
                _why(change),
                tag("ul", *lines(change)),
            )
            for change in changes
        ),
        class_="timeline",
    )


def _why(change: Change) -> Html | None:
    said = [*formats.cause(change.cause)]
    timing = formats.timing(change)
    return joined(
        *(tag("p", line, class_="cause") for line in said), tag("p", timing, class_="note") if timing else None
    )
