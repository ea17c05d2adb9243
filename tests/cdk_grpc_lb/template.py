"""A synthesised template, and the questions the tests ask it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import assertions


@dataclass(frozen=True, slots=True)
class Statement:
    """An IAM statement of a role that the template makes."""

    role: str
    actions: frozenset[str]
    resources: tuple[str, ...]
    condition: Any


@dataclass(frozen=True, slots=True)
class Synthesised:
    """A stack's template, as CloudFormation gets it, and the assembly's directory."""

    template: assertions.Template
    body: dict[str, Any]
    directory: Path

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Logical id to properties, of every resource of the type, such as `AWS::ECS::Service`."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.body["Resources"].items()
            if resource["Type"] == kind
        }

    def the(self, kind: str, part_of_id: str = "") -> dict[str, Any]:
        """The properties of the only resource of the type whose logical id has the part."""
        (found,) = (properties for name, properties in self.of_type(kind).items() if part_of_id in name)
        return found

    def container(self, name: str) -> dict[str, Any]:
        (found,) = (
            container
            for definition in self.of_type("AWS::ECS::TaskDefinition").values()
            for container in definition["ContainerDefinitions"]
            if container["Name"] == name
        )
        assert isinstance(found, dict)
        return found

    def environment(self, container: str) -> dict[str, Any]:
        return {variable["Name"]: variable["Value"] for variable in self.container(container)["Environment"]}

    def statements(self, part_of_role: str = "") -> Iterator[Statement]:
        """Every statement of every role's policies, references written as `${...}`."""
        for policy in self.of_type("AWS::IAM::Policy").values():
            for role in policy["Roles"]:
                if part_of_role not in role["Ref"]:
                    continue
                for statement in policy["PolicyDocument"]["Statement"]:
                    assert statement["Effect"] == "Allow"
                    yield Statement(
                        role["Ref"],
                        frozenset(as_list(statement["Action"])),
                        tuple(as_text(resource) for resource in as_list(statement["Resource"])),
                        statement.get("Condition"),
                    )

    def open_ports(self, part_of_group: str) -> set[tuple[str, int]]:
        """Who may come in, and on which port, of the security group whose logical id has the part."""
        found = set()
        for name, group in self.of_type("AWS::EC2::SecurityGroup").items():
            if part_of_group in name:
                for rule in group.get("SecurityGroupIngress", []):
                    assert rule["FromPort"] == rule["ToPort"]
                    found.add((as_text(rule["CidrIp"]), rule["FromPort"]))
        for rule in self.of_type("AWS::EC2::SecurityGroupIngress").values():
            if part_of_group in as_text(rule["GroupId"]):
                assert rule["FromPort"] == rule["ToPort"]
                found.add((as_text(rule["SourceSecurityGroupId"]), rule["FromPort"]))
        return found


def synthesise(stack: cdk.Stack) -> Synthesised:
    template = assertions.Template.from_stack(stack)
    app = cdk.Stage.of(stack)
    assert app is not None
    return Synthesised(template, dict(template.to_json()), Path(app.outdir))


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def as_text(value: Any) -> str:
    """CloudFormation's functions as one string: `{"Ref": "X"}` is `${X}`."""
    if isinstance(value, str):
        return value
    function, argument = next(iter(value.items()))
    if function == "Ref":
        return f"${{{argument}}}"
    if function == "Fn::GetAtt":
        return f"${{{'.'.join(argument)}}}"
    if function == "Fn::Join":
        return str(argument[0]).join(as_text(part) for part in argument[1])
    if function in ("Fn::Sub", "Fn::ImportValue", "Fn::GetStackOutput", "Fn::Select"):
        return f"{function} {argument}"
    raise AssertionError(f"no text for {function}")


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value of nested objects."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def schema_findings(template: Path) -> list[str]:
    """What CloudFormation's own schema has to say of a template."""
    from cfnlint.decode.decode import decode  # type: ignore[import-untyped]  # it ships no types; a second to load

    body, unread = decode(str(template))
    matches = unread or _linter().validate_template(body)
    # W3005, a dependency that a reference makes already: the CDK writes it on functions and target groups of any stack.
    return [str(match) for match in matches if match.rule.id != "W3005"]


@cache
def _linter() -> Any:
    """Its rules take longer to load than to look at most templates with."""
    from cfnlint.config import ConfigMixIn  # type: ignore[import-untyped]  # as above
    from cfnlint.runner import Runner  # type: ignore[import-untyped]  # as above

    return Runner(ConfigMixIn([]))
