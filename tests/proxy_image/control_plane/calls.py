"""Calls, and waiting for what they or Envoy show."""

from __future__ import annotations

from typing import Any

import grpc

from tests.proxy_image.control_plane.support import WHO, Envoy, eventually


def start(method: Any, **options: Any) -> Any:
    return method(b"", **options)


async def failure_of(channel: grpc.aio.Channel) -> grpc.StatusCode:
    call: Any = start(channel.unary_unary(WHO), timeout=60)
    code: grpc.StatusCode = await call.code()
    return code


async def reads(reading: Any, expected: object) -> bool:
    return bool(await reading == expected)


async def until_states(envoy: Envoy, states: dict[int, str]) -> None:
    await eventually(lambda: reads(envoy.endpoints(), states), f"{states}")


async def settled(calls: list[Any], count: int) -> set[grpc.StatusCode]:
    await eventually(lambda: sum(call.done() for call in calls) == count, f"{count} calls ended")
    return {await call.code() for call in calls if call.done()}


def channel_to(envoy: Envoy, authority: str) -> grpc.aio.Channel:
    channel: grpc.aio.Channel = envoy.channel(**{"grpc.default_authority": authority})
    return channel


def objects_with(value: Any, key: str) -> list[dict[str, Any]]:
    """Every object, however deep, that has a key."""
    if isinstance(value, list):
        return [found for item in value for found in objects_with(item, key)]
    if not isinstance(value, dict):
        return []
    return ([value] if key in value else []) + [found for item in value.values() for found in objects_with(item, key)]


def messages_of(value: Any, name: str) -> list[dict[str, Any]]:
    return [found for found in objects_with(value, "@type") if found["@type"].endswith(f".{name}")]
