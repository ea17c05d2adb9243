"""From target groups to Envoy's files, and from CloudFormation's spelling to the API's."""

from __future__ import annotations

from typing import Any

from local_aws.stand_in.load_balancing import envoy_config
from local_aws.stand_in.load_balancing.envoy_config import Check, TargetAddress, TargetGroup
from local_aws.stand_in.load_balancing.target_groups import read_check, read_statuses, read_target_group
from local_aws.stand_in.resources import LACKING, add_lacking, container_definitions, target_group_properties

ARN = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/name/abc"


def group(**more: object) -> dict[str, Any]:
    return {"TargetGroupArn": ARN, "Port": 50051, **more}


def test_a_target_group_is_read_with_its_check_and_its_draining_targets() -> None:
    record = group(
        HealthCheckProtocol="HTTP", HealthCheckPort="8081", HealthCheckPath="/ready", UnhealthyThresholdCount=3
    )
    read = read_target_group(
        record, [{"Id": "10.0.0.1", "Port": 1}, {"Id": "10.0.0.2"}], [TargetAddress("10.0.0.1", 1, draining=True)]
    )
    assert read == TargetGroup(
        "name-abc",
        Check(port=8081, path="/ready", healthy_threshold=2, unhealthy_threshold=3, statuses=((200, 399),)),
        (TargetAddress("10.0.0.1", 1, draining=True), TargetAddress("10.0.0.2", 50051)),
    )


def test_a_check_by_tcp_asks_the_traffic_port() -> None:
    check = read_check(group(HealthCheckProtocol="TCP", HealthCheckPort="traffic-port"))
    assert check is not None
    assert (check.port, check.path) == (None, None)
    assert read_check(group(HealthCheckEnabled=False)) is None


def test_matchers_name_statuses_and_ranges() -> None:
    assert read_statuses("200,204") == ((200, 200), (204, 204))
    assert read_statuses("200-399") == ((200, 399),)


def test_a_draining_target_stays_listed_so_that_its_connections_go_on() -> None:
    made = envoy_config.endpoints(TargetGroup("g", None, (TargetAddress("10.0.0.1", 1, draining=True),)))
    (endpoint,) = made["resources"][0]["endpoints"][0]["lb_endpoints"]
    assert endpoint["health_status"] == "DRAINING"


def test_container_definitions_are_respelled_except_for_the_users_own_keys() -> None:
    (made,) = container_definitions(
        [
            {
                "Name": "app",
                "DockerLabels": {"Grpc-Lb.Enable": "true"},
                "HealthCheck": {"Command": ["CMD", "X"], "Retries": "3"},
                "LogConfiguration": {"LogDriver": "awslogs", "Options": {"Awslogs-Group": "g"}},
                "LinuxParameters": {"Capabilities": {"Drop": ["ALL"]}},
                "PortMappings": [{"ContainerPort": "80"}],
                "StopTimeout": 60,
            }
        ]
    )
    assert made == {
        "name": "app",
        "dockerLabels": {"Grpc-Lb.Enable": "true"},
        "healthCheck": {"command": ["CMD", "X"], "retries": 3},
        "logConfiguration": {"logDriver": "awslogs", "options": {"Awslogs-Group": "g"}},
        "linuxParameters": {"capabilities": {"drop": ["ALL"]}},
        "portMappings": [{"containerPort": 80}],
        "stopTimeout": 60,
    }


def test_a_tcp_target_group_has_the_defaults_of_an_nlb() -> None:
    assert target_group_properties({"Protocol": "TCP"})["HealthCheckProtocol"] == "TCP"
    assert target_group_properties({"Protocol": "TCP", "HealthCheckProtocol": "HTTP"})["HealthCheckProtocol"] == "HTTP"
    assert "HealthCheckProtocol" not in target_group_properties({"Protocol": "HTTP"})


def test_types_that_are_lacking_are_added_and_those_that_are_there_are_left_alone() -> None:
    handlers: dict[str, dict[str, Any]] = {"AWS::EC2::EIP": {"create": "theirs"}}
    add_lacking(handlers)
    assert handlers["AWS::EC2::EIP"] == {"create": "theirs"}
    made, attributes = handlers["AWS::EC2::NatGateway"]["create"]("Nat", {}, "Stack")
    assert made == attributes["NatGatewayId"]
    assert set(handlers) == set(LACKING)
