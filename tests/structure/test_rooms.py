"""Which folder may import which: what ARCHITECTURE.md says of the folders, and of the rooms inside them."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Mapping

import pytest

from tests.structure.modules import PACKAGES, ROOT, cycle, imports, modules

KNOWN = modules()
MAX_MODULES = 14

ALLOWED = {
    "cdk_grpc_lb": {"grpc_lb_contract", "traefik_labels"},
    "grpc_lb_contract": set[str](),
    "traefik_labels": {"grpc_lb_contract"},
    "lambda_src": {"grpc_lb_contract", "traefik_labels"},
    "proxy_image": {"grpc_lb_contract"},
    "rng_service": set[str](),
    "local_aws": {*PACKAGES},
}

CONTROL_PLANE = "proxy_image.control_plane"
NEVER = [
    ("grpc_lb_contract.policy", "grpc_lb_contract.labels"),
    ("grpc_lb_contract.policy", "grpc_lb_contract.document"),
    ("grpc_lb_contract.document", "grpc_lb_contract.labels"),
    ("lambda_src.discovery", "lambda_src.transform"),
    ("proxy_image.envoy", CONTROL_PLANE),
    ("proxy_image.supervisor", CONTROL_PLANE),
    (f"{CONTROL_PLANE}.sources", f"{CONTROL_PLANE}.xds"),
    (f"{CONTROL_PLANE}.sources", f"{CONTROL_PLANE}.stats"),
    (f"{CONTROL_PLANE}.xds", f"{CONTROL_PLANE}.stats"),
    (f"{CONTROL_PLANE}.xds", f"{CONTROL_PLANE}.report"),
    (f"{CONTROL_PLANE}.xds", f"{CONTROL_PLANE}.web"),
    (f"{CONTROL_PLANE}.xds.envoy", f"{CONTROL_PLANE}.xds.proxyless"),
    (f"{CONTROL_PLANE}.stats", f"{CONTROL_PLANE}.report"),
    (f"{CONTROL_PLANE}.stats", f"{CONTROL_PLANE}.web"),
    (f"{CONTROL_PLANE}.metrics", f"{CONTROL_PLANE}.web"),
    (f"{CONTROL_PLANE}.report", f"{CONTROL_PLANE}.web"),
]


Graph = Mapping[str, frozenset[str]]


@pytest.fixture(scope="session")
def graph() -> Graph:
    return imports(KNOWN)


def inside(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_the_architecture_allows(graph: Graph, package: str) -> None:
    found = {
        (module, other)
        for module, others in graph.items()
        for other in others
        if inside(module, package) and other.partition(".")[0] not in {package, *ALLOWED[package]}
    }
    assert not found


@pytest.mark.parametrize(("room", "other"), NEVER)
def test_a_room_does_not_look_back(graph: Graph, room: str, other: str) -> None:
    assert any(inside(module, room) for module in KNOWN), f"no such room: {room}"
    assert any(inside(module, other) for module in KNOWN), f"no such room: {other}"
    found = {(a, b) for a, imported in graph.items() for b in imported if inside(a, room) and inside(b, other)}
    assert not found


def test_the_contract_needs_the_standard_library_alone() -> None:
    roots = {
        name.partition(".")[0]
        for module, path in KNOWN.items()
        if inside(module, "grpc_lb_contract")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert roots - {"grpc_lb_contract"} <= sys.stdlib_module_names


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other_in_a_circle(graph: Graph, package: str) -> None:
    assert cycle({module: others for module, others in graph.items() if inside(module, package)}) is None


def test_a_circle_is_seen() -> None:
    graph = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"a"})}
    assert set(cycle(graph) or ()) == {"a", "b", "c"}


def test_no_folder_is_too_full_to_be_read_at_a_glance() -> None:
    """GIVEN every folder of ours, THEN it has about a dozen modules at most; tests and pages of docs/ too."""
    files = [*KNOWN.values(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.md")]
    held = Counter(path.parent.relative_to(ROOT) for path in files if path.stem not in ("__init__", "__main__"))
    assert {str(folder): count for folder, count in held.items() if count > MAX_MODULES} == {}


def test_the_architecture_names_files_and_folders_that_there_are() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`([a-z_]+/[a-z_/]*(?:\.py)?)`", page))
    assert len(named) > 20
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_each_invariant_of_the_architecture_has_a_test_named_after_it() -> None:
    _, _, rest = (ROOT / "ARCHITECTURE.md").read_text().partition("\n## Invariants\n")
    numbers = re.findall(r"^(\d+)\. ", rest.partition("\n## ")[0], flags=re.MULTILINE)
    assert len(numbers) > 10
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert {*numbers} == {*re.findall(r"def test_invariant_(\d+)_", tests)}
