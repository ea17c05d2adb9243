"""What `cdk deploy` finds under CDK_DOCKER: notes from which folder an image would be built, and builds nothing."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from local_aws.deploy.images import ImageStore
from local_aws.errors import LocalAwsError

IMAGES_VARIABLE = "LOCAL_AWS_IMAGES"


def main(arguments: list[str]) -> int:
    images = ImageStore(Path(os.environ[IMAGES_VARIABLE]))
    command, *rest = arguments or ["version"]
    try:
        if command == "build":
            build(images, rest)
        elif command == "tag":
            images.tag(rest[0], rest[1])
        elif command == "inspect":
            return 0 if images.knows(rest[-1]) else 1
        elif command == "login":
            sys.stdin.read()  # the password; nothing is pushed anywhere
        elif command not in ("push", "pull", "version", "logout"):
            return _refuse(f"the docker stand-in must be asked to build, tag, push, login or inspect, got {command}")
    except LocalAwsError as error:
        return _refuse(str(error))
    return 0


def _refuse(problem: str) -> int:
    print(f"error: {problem}", file=sys.stderr)
    return 2


def build(images: ImageStore, arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("docker build", allow_abbrev=False)
    parser.add_argument("--tag", "-t", required=True)
    parser.add_argument("--file", "-f")
    parser.add_argument("--target")
    # Both take a value that could be mistaken for the folder; what else docker knows starts with -- and holds a =.
    parser.add_argument("--build-arg", "--build-context", "--secret", "--ssh", "--network", "--platform", "--output")
    parser.add_argument("--cache-from", "--cache-to")
    options, others = parser.parse_known_args(arguments)
    context = Path(others[-1] if others else ".").resolve()
    dockerfile = context / (options.file or "Dockerfile")
    if not dockerfile.is_file():
        raise LocalAwsError(f"an image's folder must hold its Dockerfile, got none at {dockerfile}")
    images.record(options.tag, context, dockerfile, options.target)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
