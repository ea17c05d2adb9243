"""What `cdk bootstrap` and `cdk deploy` make, without the CLI, whose start is most of what these take.

What an assembly holds: https://docs.aws.amazon.com/cdk/api/v2/docs/cloud-assembly-schema-readme.html
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from shutil import make_archive
from typing import Any

from local_aws.clients import client_of
from local_aws.deploy.images import ImageStore
from local_aws.errors import LocalAwsError

ACCOUNT = "000000000000"  # ministack's for keys that are not an account id themselves
TOOLKIT = "CDKToolkit"
WAIT = {"Delay": 1, "MaxAttempts": 60}


class WithoutCli:
    def __init__(self, endpoint: str, region: str) -> None:
        self._endpoint, self._region = endpoint, region

    @cached_property
    def _cloudformation(self) -> Any:
        return client_of(self._endpoint, self._region, "cloudformation")

    def bootstrap(self, template: Path) -> None:
        """Returns once all of the CLI's own template is there. Raises LocalAwsError."""
        self._make(TOOLKIT, TemplateBody=template.read_text())

    def deploy(self, assembly: Path, images: ImageStore) -> dict[str, dict[str, str]]:
        """Publish each stack's assets, then make it, in the manifest's order; the outputs of each, by its name. Raises
        LocalAwsError.
        """
        outputs = {}
        for name, artifact in self._read(assembly / "manifest.json")["artifacts"].items():
            if artifact["type"] == "aws:cloudformation:stack":
                self._publish(assembly, images, self._read(assembly / f"{name}.assets.json"))
                template = artifact["properties"]["stackTemplateAssetObjectUrl"].removeprefix("s3://")
                made = self._make(name, TemplateURL=f"https://s3.amazonaws.com/{template}")
                outputs[name] = {one["OutputKey"]: one["OutputValue"] for one in made.get("Outputs", ())}
        return outputs

    def _read(self, manifest: Path) -> dict[str, Any]:
        text = manifest.read_text().replace("${AWS::AccountId}", ACCOUNT).replace("${AWS::Region}", self._region)
        return dict(json.loads(text))

    def _publish(self, assembly: Path, images: ImageStore, assets: Mapping[str, Any]) -> None:
        for image in assets["dockerImages"].values():
            source, folder = image["source"], assembly / image["source"]["directory"]
            file = folder / source.get("dockerFile", "Dockerfile")
            for to in image["destinations"].values():
                reference = f"{to['repositoryName']}:{to['imageTag']}"
                images.record(reference, folder, file, source.get("dockerBuildTarget"))
        s3 = client_of(self._endpoint, self._region, "s3")
        for asset in assets["files"].values():
            content = _packed(assembly / asset["source"]["path"])
            for to in asset["destinations"].values():
                s3.put_object(Bucket=to["bucketName"], Key=to["objectKey"], Body=content)

    def _make(self, name: str, **template: str) -> dict[str, Any]:
        from botocore.exceptions import ClientError, WaiterError

        try:
            self._cloudformation.create_stack(StackName=name, Capabilities=["CAPABILITY_NAMED_IAM"], **template)
            self._cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=WAIT)
        except (ClientError, WaiterError) as error:
            raise LocalAwsError(f"stack {name} must be made, got {error}") from error
        return dict(self._cloudformation.describe_stacks(StackName=name)["Stacks"][0])


def _packed(asset: Path) -> bytes:
    """A file as it is, a folder as a zip."""
    if asset.is_file():
        return asset.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        return Path(make_archive(f"{folder}/asset", "zip", asset)).read_bytes()
