"""``python -m cdk_grpc_lb build-context FOLDER`` writes what the balancer's image is built from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

_FOLDERS = ("proxy_image", "grpc_lb_contract")
_DOCKERFILE = "proxy_image/Dockerfile"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m cdk_grpc_lb", description="What an app that uses cdk-grpc-lb needs beside it."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    context = commands.add_parser(
        "build-context",
        help="write the build context of the balancer's image into a new folder",
        description="Write the build context of the balancer's image into a new folder. Build it with any builder, "
        'push the image, and name it: GrpcBalancer(image=ecs.ContainerImage.from_registry("REGISTRY/grpc-lb:TAG")).',
    )
    context.add_argument("folder", type=Path, help="a folder that does not exist yet, or is empty")
    given = parser.parse_args(arguments)
    try:
        write_build_context(given.folder)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"docker build --file {given.folder}/{_DOCKERFILE} --tag grpc-lb {given.folder}")
    return 0


def write_build_context(folder: Path) -> None:
    """Raises ValueError for a folder that has something in it."""
    from cdk_grpc_lb.staging import find_folder, read, write

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"the folder must be new or empty, got {folder}: name another one")
    write(read([find_folder(name) for name in _FOLDERS]), folder)


if __name__ == "__main__":
    sys.exit(main())
