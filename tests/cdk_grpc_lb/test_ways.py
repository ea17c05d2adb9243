"""What each way of use makes of its props, beyond what its snapshot holds: the intent."""

from __future__ import annotations

import inspect

import pytest

from cdk_grpc_lb import GrpcBalancedService
from cdk_grpc_lb.service.props import AddedServiceProps
from lambda_src.settings import Settings
from proxy_image.settings import from_environment
from tests.cdk_grpc_lb.template import Synthesised, as_text, schema_findings
from tests.cdk_grpc_lb.test_snapshots import WAYS


@pytest.mark.parametrize("way", WAYS)
def test_cloudformations_own_schema_finds_nothing(way: str, ways: dict[str, Synthesised]) -> None:
    assert schema_findings(ways[way].directory / f"{way}.template.json") == []


def test_calls_over_tls_are_http2_with_the_given_certificate(ways: dict[str, Synthesised]) -> None:
    listener = ways["Public"].the("AWS::ElasticLoadBalancingV2::Listener")
    assert (listener["Protocol"], listener["Port"], listener["AlpnPolicy"]) == ("TLS", 443, ["HTTP2Only"])
    assert listener["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    assert listener["Certificates"] == [{"CertificateArn": "arn:aws:acm:us-east-1:111122223333:certificate/0a1b2c3d"}]
    assert ways["Public"].the("AWS::ElasticLoadBalancingV2::TargetGroup")["Protocol"] == "TCP"


def test_a_public_balancer_has_public_subnets_and_its_tasks_have_not(ways: dict[str, Synthesised]) -> None:
    load_balancer = ways["Public"].the("AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert load_balancer["Scheme"] == "internet-facing"
    assert all("Public" in as_text(subnet) for subnet in load_balancer["Subnets"])
    network = ways["Public"].the("AWS::ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert all("Private" in as_text(subnet) for subnet in network["Subnets"])
    assert {"Key": "load_balancing.cross_zone.enabled", "Value": "false"} in load_balancer["LoadBalancerAttributes"]


def test_a_balancer_with_a_name_is_called_by_it(ways: dict[str, Synthesised]) -> None:
    assert ways["Public"].body["Outputs"]["Address"]["Value"] == "grpc.example.com:443"
    record = ways["Public"].the("AWS::Route53::RecordSet")
    assert (record["Name"], record["Type"]) == ("grpc.example.com.", "A")


def test_a_balancer_on_arm_has_an_image_for_it(ways: dict[str, Synthesised]) -> None:
    definition = ways["Public"].the("AWS::ECS::TaskDefinition")
    assert definition["RuntimePlatform"] == {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"}
    assert ways["Public"].environment("Balancer")["GRPC_LB_ENVOY_CONCURRENCY"] == "2"
    assert '"platform": "linux/arm64"' in (ways["Public"].directory / "Public.assets.json").read_text()


def test_an_internet_facing_balancer_is_open_only_where_it_is_said(ways: dict[str, Synthesised]) -> None:
    assert ways["Public"].open_ports("LoadBalancerSecurityGroup") == {("0.0.0.0/0", 443)}


def test_labels_go_to_the_container_that_maps_the_port(ways: dict[str, Synthesised]) -> None:
    assert ways["Whole"].container("Server")["DockerLabels"]["grpc-lb.port"] == "7000"
    assert "DockerLabels" not in ways["Whole"].container("XRay")


def test_spot_is_used_in_a_cluster_that_has_it(ways: dict[str, Synthesised]) -> None:
    service = ways["Whole"].the("AWS::ECS::Service", "RngService")
    assert "LaunchType" not in service
    providers = ways["Whole"].the("AWS::ECS::ClusterCapacityProviderAssociations")["CapacityProviders"]
    assert {strategy["CapacityProvider"] for strategy in service["CapacityProviderStrategy"]} == set(providers)


def test_a_deployment_is_done_as_it_was_said(ways: dict[str, Synthesised]) -> None:
    service = ways["Whole"].the("AWS::ECS::Service", "RngService")
    assert service["DeploymentConfiguration"] == {
        "MinimumHealthyPercent": 50,
        "MaximumPercent": 150,
        "DeploymentCircuitBreaker": {"Enable": True, "Rollback": False},
        "Alarms": {"AlarmNames": [{"Ref": "Alarm7103F465"}], "Enable": True, "Rollback": False},
    }
    assert service["EnableExecuteCommand"] is True
    assert service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "ENABLED"


def test_the_number_of_scaled_tasks_is_left_to_scaling(ways: dict[str, Synthesised]) -> None:
    """GIVEN a count in the template, THEN every deployment would take back what scaling did."""
    for service in ways["Fleet"].of_type("AWS::ECS::Service").values():
        assert "DesiredCount" not in service
    targets = ways["Fleet"].of_type("AWS::ApplicationAutoScaling::ScalableTarget").values()
    assert {(target["MinCapacity"], target["MaxCapacity"]) for target in targets} == {(2, 6), (2, 20)}
    tracked = [
        (policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"], name)
        for name, policy in ways["Fleet"].of_type("AWS::ApplicationAutoScaling::ScalingPolicy").items()
    ]
    assert sorted(value for value, _name in tracked) == [50, 60, 500]


def test_each_cluster_has_a_sync_and_a_prefix_of_its_own(ways: dict[str, Synthesised]) -> None:
    """GIVEN two clusters, THEN neither Lambda may touch the other's document, and the balancer reads both."""
    fleet = ways["Fleet"]
    functions = fleet.of_type("AWS::Lambda::Function").values()
    prefixes = [as_text(one["Environment"]["Variables"]["GRPC_LB_PARAMETER_PREFIX"]) for one in functions]
    assert as_text(fleet.environment("Balancer")["GRPC_LB_PARAMETER_PREFIX"]).split(",") == prefixes
    assert len(set(prefixes)) == 2
    for role, prefix in (("TargetSyncRole", prefixes[0]), ("OtherTargetsRole", prefixes[1])):
        (statement,) = (found for found in fleet.statements(role) if "ssm:PutParameter" in found.actions)
        (resource,) = statement.resources
        assert resource.endswith(f":parameter{prefix}/*")
    read = {resource for found in fleet.statements("BalancerTaskDefinitionTaskRole") for resource in found.resources}
    assert {resource.partition(":parameter")[2] for resource in read} == {f"{prefix}/*" for prefix in prefixes}


def test_what_the_lambda_and_the_balancer_are_told_they_understand(ways: dict[str, Synthesised]) -> None:
    for function in ways["Fleet"].of_type("AWS::Lambda::Function").values():
        told = {**function["Environment"]["Variables"], "GRPC_LB_CLUSTER": "arn:aws:ecs:eu-west-1:1:cluster/a"}
        for name in ("GRPC_LB_PARAMETER_PREFIX", "GRPC_LB_CLOUDWATCH_BALANCER"):
            told[name] = as_text(told[name]).replace("${AWS::StackName}", "s")
        selection = Settings.from_environment(told).selection
        assert selection.exposed_by_default
        assert selection.only_services == ("legacy-*", "fresh")
        assert selection.only_label == "team=legacy"
    balancer = {
        name: as_text(value).replace("${AWS::StackName}", "s")
        for name, value in ways["Fleet"].environment("Balancer").items()
    }
    assert len(from_environment(balancer).parameter_prefixes) == 2


def test_the_balancer_is_no_target_of_itself_where_all_are_exposed(ways: dict[str, Synthesised]) -> None:
    assert ways["Fleet"].container("Balancer")["DockerLabels"]["grpc-lb.enable"] == "false"


def test_an_added_service_has_the_label_that_its_balancer_asks_for(ways: dict[str, Synthesised]) -> None:
    assert ways["Fleet"].container("App")["DockerLabels"]["team"] == "legacy"
    assert ways["Elsewhere"].container("App")["DockerLabels"]["team"] == ""


def test_grpc_clients_without_a_proxy_reach_the_xds_port_of_balancers_that_are_ready(
    ways: dict[str, Synthesised],
) -> None:
    fleet = ways["Fleet"]
    group = fleet.the("AWS::ElasticLoadBalancingV2::TargetGroup", "Xds")
    assert (group["Port"], group["HealthCheckPort"], group["HealthCheckPath"]) == (18000, "8081", "/ready")
    assert {port for _source, port in fleet.open_ports("BalancerServiceSecurityGroup")} >= {18000}
    clients = {port for source, port in fleet.open_ports("LoadBalancerSecurityGroup") if "Client" in source}
    assert clients == {18000}


def test_an_imported_balancer_is_called_and_calls(ways: dict[str, Synthesised]) -> None:
    elsewhere = ways["Elsewhere"]
    assert elsewhere.environment("App")["BALANCER"] == "balancer.internal:50051"
    assert elsewhere.open_ports("BalancerRngServiceSecurityGroup") == {("sg-0a1b2c3d4e5f60719", 50051)}
    assert elsewhere.open_ports("sg-0a1b2c3d4e5f60718") == {
        ("${BalancerRngServiceSecurityGroup259B6E77.GroupId}", 50051)
    }


def test_a_grpc_health_probe_asks_the_services_own_port(ways: dict[str, Synthesised]) -> None:
    check = ways["Elsewhere"].container("App")["HealthCheck"]
    assert check["Command"] == ["CMD", "/bin/grpc_health_probe", "-addr=localhost:50051", "-rpc-timeout=2s"]


def test_an_added_service_takes_the_props_of_any_other() -> None:
    """GIVEN the constructor's props, THEN `add_service` has the same but the two that the balancer decides."""
    own = inspect.signature(GrpcBalancedService.__init__).parameters.keys() - {"self", "scope", "id", "vpc", "balancer"}
    assert AddedServiceProps.__annotations__.keys() == own
