"""Make the Python code of rng/v1/random_number.proto again: `python -m rng_service.generate`.

Its output is committed, and a test fails when it is not current. grpcio-tools writes the messages, their types and the
stubs; the types of the stubs, which it cannot write, come from the service's descriptor.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto
from grpc_tools import protoc  # type: ignore[import-untyped]  # grpcio-tools ships no types

ROOT = Path(__file__).resolve().parent.parent
# The path below the root is the path Python imports, so that the stubs find the messages as `rng_service.rng.v1`.
PROTO = Path("rng_service/rng/v1/random_number.proto")


class GenerateError(Exception):
    """protoc refused the source; it has said why on stderr."""


def generate() -> dict[Path, str]:
    """Return the text of each generated file by its path below the root."""
    with TemporaryDirectory() as folder, resources.as_file(resources.files("grpc_tools") / "_proto") as well_known:
        descriptors = Path(folder) / "descriptors"
        status = protoc.main(
            [
                "protoc",
                f"--proto_path={ROOT}",
                f"--proto_path={well_known}",
                f"--python_out={folder}",
                f"--pyi_out={folder}",
                f"--grpc_python_out={folder}",
                f"--descriptor_set_out={descriptors}",
                str(ROOT / PROTO),
            ]
        )
        if status != 0:
            raise GenerateError(f"protoc must accept {PROTO}, got exit code {status}")
        made = {path.relative_to(folder): path.read_text() for path in sorted(Path(folder).rglob("*.py*"))}
        services = FileDescriptorSet.FromString(descriptors.read_bytes()).file[0].service
    messages = PROTO.with_name("random_number_pb2.pyi")
    made[messages] = '# mypy: disable-error-code="type-arg"\n' + made[messages]  # protoc writes a bare Mapping
    made[PROTO.with_name("random_number_pb2_grpc.pyi")] = stub_types(list(services))
    return made


def stub_types(services: list[ServiceDescriptorProto]) -> str:
    imports = (
        "from collections.abc import AsyncIterator\n\n"
        "from grpc import aio\n\n"
        "from rng_service.rng.v1 import random_number_pb2 as pb2\n"
    )
    return imports + "".join(f"\n{service_types(service)}" for service in services)


def service_types(service: ServiceDescriptorProto) -> str:
    stubs = "".join(f"    {method.name}: {multi_callable(method)}\n" for method in service.method)
    handlers = "".join(handler(method) for method in service.method)
    return (
        f"class {service.name}Stub:\n    def __init__(self, channel: aio.Channel) -> None: ...\n{stubs}\n"
        f"class {service.name}Servicer:\n{handlers}\n"
        f"def add_{service.name}Servicer_to_server(servicer: {service.name}Servicer, server: aio.Server) -> None: ...\n"
    )


def multi_callable(method: MethodDescriptorProto) -> str:
    shape = "UnaryStream" if method.server_streaming else "UnaryUnary"
    return f"aio.{shape}MultiCallable[{message(method.input_type)}, {message(method.output_type)}]"


def handler(method: MethodDescriptorProto) -> str:
    request, response = message(method.input_type), message(method.output_type)
    arguments = f"self, request: {request}, context: aio.ServicerContext[{request}, {response}]"
    if method.server_streaming:
        return f"    def {method.name}({arguments}) -> AsyncIterator[{response}]: ...\n"
    return f"    async def {method.name}({arguments}) -> {response}: ...\n"


def message(full_name: str) -> str:
    return f"pb2.{full_name.rpartition('.')[2]}"


def main() -> int:
    try:
        made = generate()
    except GenerateError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for path, text in made.items():
        (ROOT / path).write_text(text)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
