"""Synthesised policies as IAM reads them, and an evaluator that nobody here wrote."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO, Any

from local_aws.behaviour.edge import AwsRejection
from local_aws.behaviour.permissions import Needed, Place, denied, needed
from local_aws.layout import ROOT, Layout


@dataclass
class Evaluator:
    """ministack's, in its own environment."""

    questions: IO[str]
    answers: IO[str]
    _known: dict[tuple[object, ...], bool] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def is_allowed(self, policies: tuple[str, ...], question: Needed, place: Place) -> bool:
        key = (policies, question, place)
        with self._lock:  # the Lambda asks AWS in several threads
            if key not in self._known:
                request = {"policies": policies, "place": asdict(place), **asdict(question)}
                self.questions.write(json.dumps(request) + "\n")
                self.questions.flush()
                self._known[key] = bool(json.loads(self.answers.readline()))
            return self._known[key]


@contextmanager
def evaluator() -> Iterator[Evaluator]:
    command = [str(Layout().ministack_python), "-m", "local_aws.behaviour.evaluator"]
    with subprocess.Popen(
        command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Evaluator(process.stdin, process.stdout)


@dataclass
class Role:
    """A role as IAM sees it, and all that it was denied."""

    name: str
    policies: tuple[str, ...]
    place: Place
    evaluator: Evaluator
    denials: list[Needed] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)

    def rejection(self, service: str, operation: str, parameters: Mapping[str, Any]) -> AwsRejection | None:
        """What a call meets: None where each of its resources is allowed."""
        for question in needed(service, operation, parameters, self.place):
            self.asked.add(question.action)
            if not self.evaluator.is_allowed(self.policies, question, self.place):
                self.denials.append(question)
                return denied(f"arn:aws:sts::{self.place.account}:assumed-role/{self.name}/test", question)
        return None


def policies_of(template: Mapping[str, Any], part_of_role: str, names: Mapping[str, Any]) -> tuple[str, ...]:
    """The documents of the policies attached to the only role whose logical id has the part."""
    resources = template["Resources"]
    (role,) = [id_ for id_, one in resources.items() if one["Type"] == "AWS::IAM::Role" and part_of_role in id_]
    documents = [
        one["Properties"]["PolicyDocument"]
        for one in resources.values()
        if one["Type"] == "AWS::IAM::Policy" and {"Ref": role} in one["Properties"]["Roles"]
    ]
    documents += [one["PolicyDocument"] for one in resources[role]["Properties"].get("Policies", [])]
    return tuple(json.dumps(resolved(document, names)) for document in documents)


def resolved(value: Any, names: Mapping[str, Any]) -> Any:
    """CloudFormation's functions carried out; `names` holds what `Ref` and `Fn::GetAtt` (`Id.Attribute`) mean."""
    if isinstance(value, list):
        return [resolved(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": name}:
            return names.get(name, name)
        case {"Fn::GetAtt": [name, attribute]}:
            return names.get(f"{name}.{attribute}", f"arn:aws:unknown:::{name}.{attribute}")
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(resolved(part, names) for part in parts)
    return {key: resolved(item, names) for key, item in value.items()}


def pseudo_parameters(place: Place, stack: str = "Stack") -> dict[str, str]:
    return {
        "AWS::Partition": place.partition,
        "AWS::Region": place.region,
        "AWS::AccountId": place.account,
        "AWS::StackName": stack,
        "AWS::URLSuffix": "amazonaws.com",
    }


def without(policies: Iterable[str], action: str) -> tuple[str, ...]:
    """The same policies with one action taken out."""
    broken = []
    for text in policies:
        document = json.loads(text)
        for statement in document["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            statement["Action"] = [one for one in actions if one != action] or ["none:None"]
        broken.append(json.dumps(document))
    return tuple(broken)


def read_template(file: Path) -> dict[str, Any]:
    template: dict[str, Any] = json.loads(file.read_text())
    return template
