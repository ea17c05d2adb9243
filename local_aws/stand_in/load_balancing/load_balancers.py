"""Every NLB on record gets an address and an Envoy, and follows its listeners and targets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from local_aws.addresses import BALANCER_HOSTS
from local_aws.errors import LocalAwsError
from local_aws.stand_in.load_balancing.envoy_config import Listener, TargetAddress, TargetGroup
from local_aws.stand_in.load_balancing.nlb import LOOK_SECONDS, Nlb, look_forever
from local_aws.stand_in.load_balancing.target_groups import group_name, read_target_group
from local_aws.stand_in.settings import Settings

log = logging.getLogger("local_aws")


class Records(Protocol):
    def load_balancers(self) -> list[Mapping[str, Any]]: ...
    def listeners(self, balancer_arn: str) -> list[Mapping[str, Any]]: ...
    def target_group(self, arn: str) -> Mapping[str, Any] | None: ...
    def registered(self, arn: str) -> list[Mapping[str, Any]]: ...


class LoadBalancers:
    def __init__(self, settings: Settings, records: Records, *, health_changed: Callable[[], None]) -> None:
        self._settings = settings
        self._records = records
        self._health_changed = health_changed
        self._running: dict[str, Nlb] = {}
        self._addresses: dict[str, str] = {}
        self._behind: dict[str, str] = {}
        self.draining: Callable[[str], list[TargetAddress]] = lambda _arn: []

    def address_of(self, balancer_arn: str) -> str:
        """Stands for the NLB's DNS name; the same for as long as the balancer is there."""
        if balancer_arn not in self._addresses:
            if len(self._addresses) == len(BALANCER_HOSTS):
                raise LocalAwsError(f"at most {len(BALANCER_HOSTS)} load balancers fit on one machine's range")
            host = BALANCER_HOSTS[len(self._addresses)]
            self._addresses[balancer_arn] = self._settings.addresses.address(host)
        return self._addresses[balancer_arn]

    def follow(self) -> None:
        """Bring every Envoy up to what is on record now."""
        self._behind = {}
        for balancer in self._records.load_balancers():
            arn = balancer["LoadBalancerArn"]
            listeners, groups = self._read(arn)
            self._behind |= dict.fromkeys(groups, arn)
            if listeners and arn not in self._running:
                self._running[arn] = Nlb(self.address_of(arn), self._settings)
            if arn in self._running:
                self._running[arn].apply(listeners, list(groups.values()))

    def _read(self, balancer_arn: str) -> tuple[list[Listener], dict[str, TargetGroup]]:
        listeners: list[Listener] = []
        groups: dict[str, TargetGroup] = {}
        for listener in sorted(self._records.listeners(balancer_arn), key=lambda listener: int(listener["Port"])):
            arns = [action["TargetGroupArn"] for action in listener["DefaultActions"] if action.get("TargetGroupArn")]
            group = self._records.target_group(arns[0]) if arns else None
            if group is not None:
                listeners.append(Listener(int(listener["Port"]), group_name(group)))
                registered = self._records.registered(arns[0])
                groups[arns[0]] = read_target_group(group, registered, self.draining(arns[0]))
        return listeners, groups

    def is_healthy(self, group_arn: str, ip: str) -> bool:
        balancer = self._running.get(self._behind.get(group_arn, ""))
        group = self._records.target_group(group_arn)
        return balancer is not None and group is not None and ip in balancer.healthy(group_name(group))

    def has_listener(self, group_arn: str) -> bool:
        """Asked of the records, not of what runs: a balancer just made must not look like none."""
        return any(
            action.get("TargetGroupArn") == group_arn
            for balancer in self._records.load_balancers()
            for listener in self._records.listeners(balancer["LoadBalancerArn"])
            for action in listener["DefaultActions"]
        )

    async def run(self) -> None:
        async def follow_forever() -> None:
            while True:
                try:
                    self.follow()
                except Exception:
                    log.exception("the load balancers must follow their records")
                await asyncio.sleep(LOOK_SECONDS)

        await asyncio.gather(follow_forever(), look_forever(lambda: list(self._running.values()), self._health_changed))

    def show(self) -> list[dict[str, Any]]:
        """For the control socket: what listens where, and which targets take calls."""
        return [
            {
                "arn": balancer["LoadBalancerArn"],
                "name": balancer["LoadBalancerName"],
                "address": self.address_of(balancer["LoadBalancerArn"]),
                "listeners": [
                    {
                        "port": listener.port,
                        "target_group": listener.group,
                        "healthy": sorted(self._running[balancer["LoadBalancerArn"]].healthy(listener.group))
                        if balancer["LoadBalancerArn"] in self._running
                        else [],
                    }
                    for listener in self._read(balancer["LoadBalancerArn"])[0]
                ],
            }
            for balancer in self._records.load_balancers()
        ]
