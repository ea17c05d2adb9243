"""The fifteen apps of docs/apps.md, as a user has them: from the wheel alone. Their types are read by `make types`."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.apps.pages import apps, module_name
from tests.wheel.synths import Synth

NAMES = sorted(map(module_name, apps()))


def test_there_are_fifteen() -> None:
    assert len(NAMES) == 15


@pytest.mark.parametrize("name", NAMES)
def test_an_app_synthesises_from_the_wheel_alone(synths: Mapping[str, Synth], name: str) -> None:
    wanted = {
        "a_stage_of_cdk_pipelines": {"AWS::CodePipeline::Pipeline", "AWS::ECS::Service"},
        "isolated_subnets": {"AWS::EC2::VPCEndpoint"},
        "route_53": {"AWS::Route53::RecordSet"},
        "peering_and_privatelink": {"AWS::EC2::VPCEndpointService"},
        "a_whole_task_definition": {"AWS::EFS::FileSystem"},
        "alarms": {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"},
        "a_balancer_that_scales": {"AWS::ApplicationAutoScaling::ScalingPolicy"},
    }
    assert synths[name].kinds >= {"AWS::ECS::Service", "AWS::ElasticLoadBalancingV2::LoadBalancer"} | wanted.get(
        name, set()
    )
