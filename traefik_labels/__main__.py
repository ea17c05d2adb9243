"""`python -m traefik_labels`: what this library makes of Traefik's labels."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from grpc_lb_contract import LabelError, LabelReading, Registration, read_labels
from grpc_lb_contract.labels.names import PORT
from traefik_labels.label_formats import NoLabels, containers_from_json, labels_from_words
from traefik_labels.model import Container, Outcome, Translation
from traefik_labels.rules.default_rule import DEFAULT_RULE, normalized
from traefik_labels.settings import TraefikLabels
from traefik_labels.translation import in_their_words, translate, translate_all, with_own

_USUAL_PORT = 50051

_EPILOG = """\
examples:
  python -m traefik_labels traefik.protocol=h2c 'traefik.frontend.rule=Host:rng.internal'
  python -m traefik_labels --file task-definition.json
  aws ecs describe-task-definition --task-definition rng | python -m traefik_labels --ecs-service rng

exit status: 0 if the balancer does all that the labels ask for, 1 if something is left out or rejected, 2 if the
command or its input cannot be read. Differences in detail, and labels that change nothing here, do not count.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes of one container."""

    container: Container
    translation: Translation
    reading: LabelReading
    others: tuple[LabelReading, ...] = ()
    """Of the further services that the container is."""

    @property
    def is_whole(self) -> bool:
        unsaid = (Outcome.LEFT_OUT, Outcome.REJECTED)
        return not self.errors and all(remark.outcome not in unsaid for remark in self.translation.remarks)

    @property
    def errors(self) -> list[LabelError]:
        written = self.container.labels
        return [
            in_their_words(error, written, translation)
            for translation, reading in self.services
            for error in reading.errors
        ]

    @property
    def services(self) -> list[tuple[Translation, LabelReading]]:
        translations = (self.translation, *self.translation.others)
        return list(zip(translations, (self.reading, *self.others), strict=True))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        settings = TraefikLabels(
            exposed_by_default=options.exposed_by_default,
            default_rule=options.default_rule,
            domain=options.domain,
            constraints=options.constraints,
            ignored_middlewares=tuple(options.ignored_middleware),
            version=options.traefik_version,
            entry_points=tuple(options.entry_point),
            tls=options.tls,
        )
        answers = answers_to(_containers(options), settings)
    except OSError as error:
        print(f"error: --file must be a file that can be read, got {options.file}: {error.strerror}", file=sys.stderr)
        return 2
    except (NoLabels, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if isinstance(sys.stdout, io.TextIOWrapper):
        # JSON may hold what no encoding has: half of a surrogate pair.
        sys.stdout.reconfigure(errors="backslashreplace")
    if options.json:
        print(json.dumps([_as_json(one) for one in answers], indent=2))
    else:
        print("\n\n".join("\n".join(_in_words(one)) for one in answers))
    return 0 if all(one.is_whole for one in answers) else 1


def answers_to(containers: Sequence[Container], settings: TraefikLabels) -> list[Answer]:
    """As the Lambda reads containers of one cluster. Where no port mapping is known, its ports are taken for mapped."""
    containers = [one if one.ports else replace(one, ports=_ports(one, settings)) for one in containers]
    found = translate_all(containers, settings)
    return [_answer(container, one) for container, one in zip(containers, found, strict=True)]


def _ports(container: Container, settings: TraefikLabels) -> tuple[int, ...]:
    alone = translate(container, settings)
    texts = [with_own(container.labels, one).get(PORT, "") for one in (alone, *alone.others)]
    said = tuple(int(text) for text in texts if text.isascii() and text.isdigit())
    return said or (_USUAL_PORT,)


def _answer(container: Container, translation: Translation) -> Answer:
    readings = [
        read_labels(
            with_own(container.labels, one),
            mapped_ports=container.ports,
            default_service=container.ecs_service or container.family or container.name,
            family=container.family,
        )
        for one in (translation, *translation.others)
    ]
    return Answer(container, translation, readings[0], tuple(readings[1:]))


def _containers(options: argparse.Namespace) -> list[Container]:
    like = Container({}, options.container, options.ecs_service, options.family, tuple(options.port))
    if options.labels and options.file is not None:
        raise NoLabels("labels must be given as arguments or with --file, got both")
    if options.labels:
        return [replace(like, labels=labels_from_words(options.labels))]
    from_stdin = options.file in (None, "-")
    text = sys.stdin.read() if from_stdin else Path(options.file).read_text(encoding="utf-8")
    return containers_from_json(text, like)


def _in_words(one: Answer) -> Iterator[str]:
    yield f"container {one.container.name}:"
    if one.reading.registration is None:
        yield "  takes no part"
    for translation, reading in one.services:
        if reading.registration is not None:
            registration = reading.registration
            yield f"  service {registration.service}, port {registration.port}; it takes the calls of"
            yield from (f"    {route}" for route in registration.routes)
            if _is_host_a_guess(one.container, registration):
                yield "  (its host is that of tasks that no ECS service runs; give --ecs-service NAME where one does)"
            yield "  the same in labels of ours:"
            labels = with_own(one.container.labels, translation)
            yield from (f"    {name}={value}" for name, value in labels.items() if name.startswith("grpc-lb."))
    if one.errors or one.translation.remarks:
        yield "  remarks:"
    for error in one.errors:
        yield f"    {error.label}={error.value}"
        yield f"      rejected: {error.problem}"
    for remark in one.translation.remarks:
        yield f"    {remark.label}={remark.value}"
        yield f"      {remark.outcome}: {remark.why}"


def _is_host_a_guess(container: Container, registration: Registration) -> bool:
    """Whether a host is made of names, and of an ECS service's that runs the container nothing is known."""
    made = normalized(container.traefik_name)
    hosts = (normalized(route.host) for route in registration.routes)
    return container.ecs_service is None and container.group is None and any(made in host for host in hosts)


def _as_json(one: Answer) -> dict[str, object]:
    registration = one.reading.registration
    rejected = [{"label": error.label, "value": error.value, "why": error.problem} for error in one.errors]
    remarks = [{"label": remark.label, "value": remark.value, "why": remark.why} for remark in one.translation.remarks]
    outcomes = [str(remark.outcome) for remark in one.translation.remarks]
    return {
        "container": one.container.name,
        "takes_part": registration is not None,
        "labels": dict(one.translation.labels),
        "origins": dict(one.translation.origins),
        "routes": [] if registration is None else [str(route) for route in registration.routes],
        "other_services": [dict(other.labels) for other in one.translation.others],
        "remarks": [
            *({**one, "outcome": str(Outcome.REJECTED)} for one in rejected),
            *({**one, "outcome": outcome} for one, outcome in zip(remarks, outcomes, strict=True)),
        ],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m traefik_labels",
        description="Shows what a balancer does with Traefik's labels, and prints grpc-lb labels that do the same.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("labels", nargs="*", metavar="NAME=VALUE", help="labels of one container; by default JSON is read from stdin")
    add(
        "--file",
        metavar="FILE",
        help="JSON: an object of labels, a list of NAME=VALUE, a service of a compose file, or a task definition; "
        "- for stdin",
    )
    add("--json", action="store_true", help="print JSON")
    about = parser.add_argument_group("the container, if the labels come without a task definition")
    about.add_argument("--ecs-service", metavar="NAME", help="the ECS service that runs it (default: none)")
    about.add_argument("--family", metavar="NAME", default="", help="its task family")
    about.add_argument("--container", metavar="NAME", default="app", help="its name (default: app)")
    about.add_argument(
        "--port",
        metavar="PORT",
        type=int,
        action="append",
        default=[],
        help="a mapped port; may be repeated (default: the one that the labels name)",
    )
    options = parser.add_argument_group("how Traefik is set up")
    options.add_argument(
        "--traefik-version", type=int, choices=(1, 2, 3), help="(default: the one that each container's labels fit)"
    )
    options.add_argument(
        "--exposed-by-default",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether containers take part without traefik.enable=true",
    )
    options.add_argument("--default-rule", metavar="TEMPLATE", default=DEFAULT_RULE, help="(default: %(default)s)")
    options.add_argument("--domain", help="the domain of version 1's ECS provider")
    options.add_argument("--constraints", metavar="EXPRESSION", help="which containers Traefik takes")
    options.add_argument(
        "--ignored-middleware",
        metavar="NAME",
        action="append",
        default=[],
        help="a middleware that calls may go without; may be repeated",
    )
    options.add_argument(
        "--entry-point",
        metavar="NAME",
        action="append",
        default=[],
        help="an entry point by which the balancer's callers came to Traefik; may be repeated (default: none is known)",
    )
    options.add_argument("--tls", action="store_true", help="callers speak TLS to the balancer (default: they do not)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
