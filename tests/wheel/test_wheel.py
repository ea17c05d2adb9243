"""What the wheel and the sdist hold, and that a new environment needs nothing beside them."""

from __future__ import annotations

import re
import tarfile
import zipfile
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from trove_classifiers import classifiers, deprecated_classifiers

from cdk_grpc_lb.staging import files_of
from tests.wheel import environment
from tests.wheel.environment import ROOT, Environment

PLACES = {
    "cdk_grpc_lb": "cdk_grpc_lb",
    "grpc_lb_contract": "grpc_lb_contract",
    "traefik_labels": "traefik_labels",
    "lambda_src": "cdk_grpc_lb/_assets/lambda_src",
    "proxy_image": "cdk_grpc_lb/_assets/proxy_image",
}


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Distribution:
    return environment.read_metadata(wheel)


def test_the_wheel_holds_the_packages_and_what_assets_are_made_of(wheel: Path, source: Path) -> None:
    """GIVEN a checkout with byte code and caches lying about, THEN the wheel has none of that, and all the rest."""
    expected = {
        f"{place}/{file.relative_to(source / folder).as_posix()}"
        for folder, place in PLACES.items()
        for file in files_of(source / folder)
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert {"cdk_grpc_lb/py.typed", "grpc_lb_contract/py.typed", "traefik_labels/py.typed"} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_an_sdist_builds_the_same_wheel(wheel: Path, source: Path, tmp_path: Path) -> None:
    """GIVEN the sdist alone, WHEN someone builds a wheel of it, THEN it is the wheel of the checkout."""
    sdist = environment.build("sdist", source, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    again = environment.build("wheel", unpacked, tmp_path / "again")
    assert again.name == wheel.name
    assert contents(again) == contents(wheel)
    assert {"examples", "docs", "CHANGELOG.md", "LICENSE", "README.md"} <= {entry.name for entry in unpacked.iterdir()}
    assert not [path for path in unpacked.rglob("*") if path.name in {"__pycache__", "cdk.out", "build"}]


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_only_what_synthesis_needs_is_asked_for(metadata: Distribution) -> None:
    """GIVEN someone who synthesises, THEN neither the Lambda's nor the balancer's dependencies are forced on them."""
    requirements = [Requirement(line) for line in metadata.requires or ()]
    assert sorted(requirement.name for requirement in requirements) == ["aws-cdk-lib", "constructs"]
    for requirement in requirements:
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators == {">=", "<"}, requirement


def test_the_metadata_is_what_an_index_accepts(metadata: Distribution) -> None:
    about = metadata.metadata
    given = set(about.get_all("Classifier") or ())
    assert given <= set(classifiers)
    assert not given & deprecated_classifiers.keys()
    assert (about["Name"], about["License-Expression"]) == ("cdk-grpc-lb", "Apache-2.0")
    assert about["Description-Content-Type"] == "text/markdown"
    assert "Framework :: AWS CDK :: 2" in given


def test_the_changelog_begins_with_this_version(metadata: Distribution) -> None:
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert versions[0] == metadata.version


def test_nothing_but_the_wheel_and_what_it_asks_for_is_there(installed: Environment, tmp_path: Path) -> None:
    """GIVEN a new environment with the wheel, WHEN a program elsewhere imports it, THEN no file of the checkout is
    used, and there is nothing of what the Lambda, the balancer or the tests need.
    """
    ran = installed.run(
        "-c",
        "import importlib.util, pathlib, sys\n"
        "import cdk_grpc_lb, grpc_lb_contract\n"
        "print(pathlib.Path(cdk_grpc_lb.__file__).parent, pathlib.Path(grpc_lb_contract.__file__).parent)\n"
        "print(*sys.path)\n"
        "print([name for name in ('boto3', 'grpc', 'envoy', 'google', 'lambda_src', 'proxy_image', 'rng_service',\n"
        "                         'pip', 'pytest') if importlib.util.find_spec(name)])\n",
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    places, path, others = ran.stdout.splitlines()
    assert places.split() == [str(installed.site_packages / name) for name in ("cdk_grpc_lb", "grpc_lb_contract")]
    assert str(ROOT) not in path
    assert others == "[]"


def test_the_wheel_says_what_becomes_of_traefiks_labels(installed: Environment, tmp_path: Path) -> None:
    ran = installed.run("-m", "traefik_labels", "traefik.protocol=h2c", "--ecs-service", "rng", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "grpc-lb.hosts=service-rng-app" in ran.stdout


def test_pip_left_its_byte_code_among_the_assets(installed: Environment) -> None:
    """GIVEN what every installation has, THEN the tests of examples/ show that no asset's hash depends on it."""
    assert list((installed.site_packages / "cdk_grpc_lb/_assets").rglob("*.pyc"))
