"""One name with two contents: Traefik leaves both out.

Where the two are revisions of one ECS service, that is a deployment, and both are served until the old tasks have
stopped: better than Traefik, which answers 404 meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from traefik_labels.cluster.parts import Defined, Part, Router


def keep_out_conflicts(parts: Sequence[Part]) -> None:
    named: defaultdict[tuple[str, str], list[tuple[Part, Defined]]] = defaultdict(list)
    for part in parts:
        for one in part.defined:
            named[one.kind, one.name].append((part, one))
    for (kind, name), found in named.items():
        if all(one.content == found[0][1].content for _, one in found):
            continue
        in_deployment = len({part.container.owner for part, _ in found}) == 1
        for part, one in found:
            _tell(part, one, sorted({other.container.owner for other, _ in found}), in_deployment=in_deployment)
            for router in _concerned(part, kind, name):
                if not in_deployment:
                    router.keep_out()


def _tell(part: Part, one: Defined, owners: Sequence[str], *, in_deployment: bool) -> None:
    what = f"the {one.kind} {one.name}"
    if in_deployment:
        part.draft.differs(
            one.label,
            f"Traefik leaves {what} out while tasks of two revisions say different things of it; here both are served "
            "until the old ones have stopped",
        )
    else:
        part.draft.leave_out(
            one.label, f"Traefik leaves {what} out, of which {', '.join(owners)} say different things; say the same"
        )


def _concerned(part: Part, kind: str, name: str) -> Iterable[Router]:
    for router in part.routers:
        if (
            (kind == "router" and router.name == name)
            or (kind == "service" and router.service == name)
            or (kind == "middleware" and name in part.uses.get(router.name, frozenset()))
        ):
            yield router
