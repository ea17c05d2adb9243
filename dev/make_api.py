"""Writes docs/api.md, from the docstrings of cdk_grpc_lb, and the tables of docs/labels.md and docs/traefik.md.

What a policy's settings may hold is said by the table that labels are read by, which is of the standard library alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import indent
from typing import cast

import griffe

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from dev.label_reference import with_label_reference  # noqa: E402
from grpc_lb_contract import TrafficPolicy  # noqa: E402 - whoever runs a file has its folder alone on the path
from grpc_lb_contract.policy.traffic_policy import TABLE, PolicySetting  # noqa: E402
from traefik_labels.docs_tables import with_unsupported_settings  # noqa: E402

PAGE = ROOT / "docs/api.md"
LABELS_PAGE = ROOT / "docs/labels.md"
TRAEFIK_PAGE = ROOT / "docs/traefik.md"
PACKAGE, CONTRACT = "cdk_grpc_lb", "grpc_lb_contract"
BESIDE = (CONTRACT, "traefik_labels")
"""Of which it exports names."""
PARTS = {row.part: type(getattr(TrafficPolicy(), row.part)).__name__ for row in TABLE}

HEAD = """\
# API

Written from the docstrings by `make docs`: change those, not this page. `ec2`, `ecs`, `elbv2`, `iam`, `logs` and their
like are modules of `aws_cdk`, as `cdk` is itself. All props but `scope` and `id` are given by name. Those marked * are
required. Wrong props are rejected at synth, with a `ValueError` that says what is allowed.

`TrafficPolicy` and what follows it say which calls a service takes and how they are treated. All are immutable plain
values: times are Python's `datetime.timedelta`, and tokens, which have no value at synth, are rejected. Each setting is
a docker label too ([labels.md](labels.md)), which the constructs write.
"""


def page(package: griffe.Module) -> str:
    constructs = [each for each in classes_of(package) if not is_of_contract(each)]
    values = sorted((each for each in classes_of(package) if is_of_contract(each)), key=place_of)
    contents = "".join(f"- [{each.name}](#{each.name.lower()})\n" for each in (*constructs, *values))
    sections = [part for each in constructs for part in class_parts(each, package)]
    sections += [part for each in values for part in value_parts(each)]
    return "\n".join([HEAD, contents, *sections])


def classes_of(package: griffe.Module) -> list[griffe.Class]:
    return [resolved(package[name]) for name in exported(package)]


def exported(package: griffe.Module) -> list[str]:
    return [str(name) for name in package.exports or ()]


def load() -> griffe.Module:
    loader = griffe.GriffeLoader(
        search_paths=[ROOT],
        allow_inspection=False,
        docstring_parser=griffe.Parser.sphinx,
        docstring_options={"warnings": False},  # of props that are unpacked from a TypedDict
    )
    for package in BESIDE:
        loader.load(package)
    return cast(griffe.Module, loader.load(PACKAGE))


def resolved(member: griffe.Object | griffe.Alias) -> griffe.Class:
    return cast(griffe.Class, member.final_target if isinstance(member, griffe.Alias) else member)


def class_parts(each: griffe.Class, package: griffe.Module) -> Iterator[str]:
    yield f"## {each.name}\n"
    yield text_of(each)
    bases = [str(base) for base in each.bases if str(base) in exported(package)]
    if bases:
        yield f"It also has what [{bases[0]}](#{bases[0].lower()}) has.\n"
    if "__init__" in each.members and each.docstring is not None:
        scope = "" if is_plain(each) else "scope, id, "
        yield f"**{each.name}({scope}\\*, …)**\n"
        yield parameter_table(each, function_of(each.members["__init__"]))
    attributes = [member for member in own_members(each, package) if isinstance(member, griffe.Attribute)]
    if attributes and not is_plain(each):
        yield f"### Attributes of {each.name}\n"
        yield table(
            ("attribute", "type", "what it is"),
            ((f"`{one.name}`", typed(attribute_type(one, each)), sentence(one)) for one in attributes),
        )
    for member in own_members(each, package):
        if isinstance(member, griffe.Function):
            yield from method_parts(member, each)


def is_plain(each: griffe.Class) -> bool:
    """Whether it is a value that a prop takes, whose attributes are its parameters, and no construct."""
    return "dataclass" in each.labels


def is_of_contract(each: griffe.Class) -> bool:
    """Whether it is a part of the contract: plain data, not a construct."""
    return each.module.package.name == CONTRACT


def is_enumeration(each: griffe.Class) -> bool:
    return any(str(base) == "StrEnum" for base in each.bases)


def place_of(each: griffe.Class) -> tuple[int, str]:
    """The policy, its parts as it names them, other values, and last the enumerations."""
    order = [TrafficPolicy.__name__, *PARTS.values()]
    if each.name in order:
        return order.index(each.name), each.name
    return len(order) + is_enumeration(each), each.name


def value_parts(each: griffe.Class) -> Iterator[str]:
    yield f"## {each.name}\n"
    yield text_of(each)
    fields = fields_of(each)
    if is_enumeration(each):
        yield ", ".join(f"`{each.name}.{one.name}`{in_labels(one)}" for one in fields) + "\n"
        return
    yield f"**{each.name}({', '.join(one.name for one in fields)})**\n"
    settings = {row.name: row for row in TABLE if PARTS[row.part] == each.name}
    if settings:
        head = ("field", "type", "holds", "by default", "label", "meaning")
        yield table(head, (setting_row(one, settings[one.name]) for one in fields))
    else:
        yield table(("field", "type", "meaning"), (field_row(one) for one in fields))


def fields_of(each: griffe.Class) -> list[griffe.Attribute]:
    attributes = (one for one in each.members.values() if isinstance(one, griffe.Attribute))
    return [one for one in attributes if "property" not in one.labels and not one.name.startswith("_")]


def in_labels(member: griffe.Attribute) -> str:
    """An enumeration's member as a label has it, where that is not its name."""
    text = str(member.value).strip("'")
    return f" (`{text}`)" if text not in ("", member.name) else ""


def setting_row(field: griffe.Attribute, row: PolicySetting) -> tuple[str, ...]:
    kind = row.setting.kind
    default = f"`{kind.write(row.default)}`" if kind.allows(row.default) else "unset"
    about = (kind.rule, default, f"`{row.label}`", row.setting.meaning)
    return (f"`{field.name}`", linked(field), *map(plain, about))


def field_row(field: griffe.Attribute) -> tuple[str, ...]:
    kind = kind_of(field)
    meaning = sentence(field)
    if not meaning and kind is not None:
        meaning = sentence(kind).partition(". ")[0].rstrip(".") + "."
    return f"`{field.name}`" + ("" if field.value is not None else " *"), linked(field), meaning


def linked(field: griffe.Attribute) -> str:
    shown, kind = typed(annotation_of(field)), kind_of(field)
    return f"[{shown}](#{kind.name.lower()})" if kind is not None else shown


def annotation_of(field: griffe.Attribute) -> str:
    """Its type; of what may be a list, a tuple or a set, the list."""
    return re.sub(r"\bSeveral\[", "list[", str(field.annotation))


def kind_of(field: griffe.Attribute) -> griffe.Class | None:
    """The class of the contract that the field holds, or holds several of."""
    names = [name for name in re.findall(r"[A-Z]\w+", annotation_of(field)) if name != "None"]
    if not names or names[0] not in field.module.members:
        return None
    found = field.module.members[names[0]]
    of_contract = isinstance(found, griffe.Class) or str(found.canonical_path).startswith(CONTRACT)
    return resolved(found) if of_contract else None


def method_parts(method: griffe.Function, of: griffe.Class) -> Iterator[str]:
    names = [f"\\*\\*{name}" if name == "props" else name for name, _ in parameters_of(method)]
    returns = "" if str(method.returns) == "None" else f" → {typed(str(method.returns))}"
    static = f"{of.name}." if "classmethod" in method.labels else ""
    yield f"### {static}{method.name}({', '.join(names)}){returns}\n"
    yield text_of(method)
    if documented_parameters(method):
        yield parameter_table(method, method)


def own_members(of: griffe.Class, package: griffe.Module) -> list[griffe.Object | griffe.Alias]:
    """Its public members, with those of bases that are not on the page, and without what a base says there already."""
    bases = [base for base in of.mro() if base.module.package.name == PACKAGE]
    said = {
        name for base in bases if base.name in exported(package) for name, one in base.members.items() if one.docstring
    }
    hidden = [base for base in bases if base.name not in exported(package)]
    members = {name: member for each in (*reversed(hidden), of) for name, member in each.members.items()}
    return [one for name, one in members.items() if not name.startswith("_") and (name not in said or one.docstring)]


def function_of(member: griffe.Object | griffe.Alias) -> griffe.Function:
    return cast(griffe.Function, member)


def parameters_of(function: griffe.Function) -> list[tuple[str, griffe.Parameter]]:
    """Its parameters, those of an unpacked TypedDict one by one."""
    own = [(each.name.lstrip("*"), each) for each in function.parameters if each.name not in ("self", "cls")]
    return [one for name, each in own for one in (unpacked(function, each) or [(name, each)])]


def unpacked(function: griffe.Function, parameter: griffe.Parameter) -> list[tuple[str, griffe.Parameter]]:
    found = re.fullmatch(r"Unpack\[(\w+)\]", str(parameter.annotation))
    # `props` are said elsewhere, all together.
    if found is None or parameter.name.lstrip("*") == "props":
        return []
    kind = resolved(function.module.members[found[1]])
    return [
        (one.name, griffe.Parameter(one.name, annotation=one.annotation, default="None"))
        for base in (*reversed(kind.mro()), kind)
        for one in base.members.values()
        if isinstance(one, griffe.Attribute)
    ]


def parameter_table(documented: griffe.Object, function: griffe.Function) -> str:
    meanings = {one.name.lstrip("*"): one.description for one in documented_parameters(documented)}
    rows = [
        (
            f"`{name}`" + ("" if each.default is not None or each.name == "props" else " *"),
            typed(str(each.annotation)),
            plain(meanings[name]),
        )
        for name, each in parameters_of(function)
        if name in meanings
    ]
    return table(("prop", "type", "meaning"), rows)


def documented_parameters(documented: griffe.Object) -> list[griffe.DocstringParameter]:
    if documented.docstring is None:
        return []
    found = [part for part in documented.docstring.parsed if part.kind is griffe.DocstringSectionKind.parameters]
    return [one for part in found for one in part.value]


def text_of(documented: griffe.Object) -> str:
    """The docstring without its parameters."""
    if documented.docstring is None:
        return ""
    parts = [part.value for part in documented.docstring.parsed if part.kind is griffe.DocstringSectionKind.text]
    return markdown("\n\n".join(parts)) + "\n"


def sentence(member: griffe.Object | griffe.Alias) -> str:
    return plain(member.docstring.value) if member.docstring is not None else ""


def attribute_type(attribute: griffe.Attribute, of: griffe.Class) -> str:
    """As it is written; else what it is assigned: a parameter, a new object, or what a function of ours returns."""
    if attribute.annotation is not None:
        return str(attribute.annotation)
    value = str(attribute.value)
    initial = function_of(of.members["__init__"])
    for name, parameter in parameters_of(initial):
        if value == name:
            return str(parameter.annotation)
    called = value.partition("(")[0] if isinstance(attribute.value, griffe.ExprCall) else ""
    last = called.rpartition(".")[2]
    if last[:1].isupper():
        return called
    scope = of if called.startswith("self.") else of.module
    known = scope.all_members.get(last)
    function = known.final_target if isinstance(known, griffe.Alias) and known.resolved else known
    return str(function.returns) if isinstance(function, griffe.Function) else ""


def typed(annotation: str) -> str:
    shown = annotation.replace(" | None", "").replace("Unpack[AddedServiceProps]", "")
    return f"`{shown}`".replace("|", "\\|") if shown else ""


def markdown(text: str) -> str:
    """reStructuredText's marks as Markdown's, and an example as code."""
    text = re.sub(r"^>>> .*(?:\n.+)*", lambda found: indent(found[0], "    "), text, flags=re.MULTILINE)
    text = re.sub(r":\w+:`([^`]+)`", r"`\1`", text)
    return text.replace("``", "`")


def plain(text: str) -> str:
    return " ".join(markdown(text).split()).replace("|", "\\|")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> int:
    PAGE.write_text(page(load()))
    LABELS_PAGE.write_text(with_label_reference(LABELS_PAGE.read_text()))
    TRAEFIK_PAGE.write_text(with_unsupported_settings(TRAEFIK_PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
