"""`balancer.connect`: what a client without a proxy is given, and what is opened for it."""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_route53 as route53

from cdk_grpc_lb import GrpcBalancedService, GrpcBalancer
from tests.cdk_grpc_lb.apps import template_app
from tests.cdk_grpc_lb.template import Synthesised, as_text, synthesise

IMAGE = ecs.ContainerImage.from_registry("example/rng")


class Fleet:
    """A balancer with one service of this library and one made by hand, and clients in several forms."""

    def __init__(self) -> None:
        self.app = template_app()
        self.stack = cdk.Stack(self.app, "Fleet")
        self.vpc = ec2.Vpc(self.stack, "Vpc", restrict_default_security_group=False)
        self.cluster = ecs.Cluster(self.stack, "Cluster", vpc=self.vpc)
        own = ["numbers", "orders", "front"]
        self.balancer = GrpcBalancer(self.stack, "Balancer", cluster=self.cluster, only_services=own)
        self.numbers = self.balancer.add_service("Numbers", image=IMAGE, port=50051, hosts=["numbers.test"])
        self.orders = self.plain("Orders", 7000)
        self.balancer.register(self.orders, service_name="orders", hosts=["orders.test"])

    def plain(self, name: str, port: int) -> ecs.FargateService:
        definition = ecs.FargateTaskDefinition(self.stack, f"{name}Task")
        definition.add_container("Helper", image=IMAGE, essential=False)
        definition.add_container(
            f"{name}App", image=IMAGE, port_mappings=[ecs.PortMapping(container_port=port)], environment={"A": "b"}
        )
        return ecs.FargateService(self.stack, name, cluster=self.cluster, task_definition=definition)


def bootstrap_of(made: Synthesised, container: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(as_text(made.environment(container)["GRPC_XDS_BOOTSTRAP_CONFIG"]))
    return found


def test_a_plain_service_is_given_the_bootstrap_and_let_in() -> None:
    fleet = Fleet()
    client = fleet.plain("Client", 9000)
    assert fleet.balancer.connect(client, to=[fleet.numbers, fleet.orders]) == ["xds:///numbers", "xds:///orders"]
    made = synthesise(fleet.stack)
    config = bootstrap_of(made, "ClientApp")
    (server,) = config["xds_servers"]
    assert server["server_uri"].endswith(":18000")
    assert "LoadBalancer" in server["server_uri"]
    assert server["channel_creds"] == [{"type": "insecure"}]
    assert set(server["server_features"]) == {"xds_v3", "ignore_resource_deletion"}
    assert config["node"]["id"]
    assert "zone" in config["node"]["locality"], "grpc-js-xds fails without it"
    for group, port in (("BalancerLoadBalancer", 18000), ("NumbersService", 50051), ("OrdersSecurity", 7000)):
        assert port in {opened for source, opened in made.open_ports(group) if "Client" in source}, group
    assert {opened for source, opened in made.open_ports("") if "Client" in source} == {18000, 50051, 7000}
    assert json.dumps(made.body).count("GRPC_XDS_BOOTSTRAP_CONFIG") == 1, "on the container that calls alone"


def test_a_service_of_this_library_is_a_client_too() -> None:
    fleet = Fleet()
    client = fleet.balancer.add_service("Front", image=IMAGE, port=50052, hosts=["front.test"])
    fleet.balancer.connect(client, to=[fleet.numbers], fallback_address="other.internal:18000")
    made = synthesise(fleet.stack)
    name = client.container.container_name
    definitions = made.of_type("AWS::ECS::TaskDefinition")
    (container,) = (
        each
        for logical_id, definition in definitions.items()
        for each in definition["ContainerDefinitions"]
        if "Front" in logical_id and each["Name"] == name
    )
    (value,) = (each["Value"] for each in container["Environment"] if each["Name"] == "GRPC_XDS_BOOTSTRAP_CONFIG")
    servers = json.loads(as_text(value))["xds_servers"]
    assert [server["server_uri"].rpartition(":")[2] for server in servers] == ["18000", "18000"]
    assert servers[1]["server_uri"] == "other.internal:18000"


def test_a_task_definition_is_a_client_from_a_security_group() -> None:
    fleet = Fleet()
    job = ecs.FargateTaskDefinition(fleet.stack, "Job")
    job.add_container("Main", image=IMAGE)
    job.add_container("Sidecar", image=IMAGE)
    group = ec2.SecurityGroup(fleet.stack, "JobGroup", vpc=fleet.vpc)
    assert fleet.balancer.connect(job, to=[fleet.orders], container_name="Sidecar", source=group) == ["xds:///orders"]
    made = synthesise(fleet.stack)
    assert bootstrap_of(made, "Sidecar")
    assert "Environment" not in made.container("Main")
    assert {port for source, port in made.open_ports("") if "JobGroup" in source} == {18000, 7000}


def test_a_client_of_another_stack_opens_its_own_rules() -> None:
    """GIVEN a client whose stack uses the balancer's THEN the app can be synthesised: no stack refers to the other."""
    fleet = Fleet()
    other = cdk.Stack(fleet.app, "Other")
    client = GrpcBalancedService(other, "Front", image=IMAGE, port=50052, balancer=fleet.balancer, hosts=["front.test"])
    fleet.balancer.connect(client, to=[fleet.numbers])
    made = synthesise(other)
    ports = {rule["FromPort"] for rule in made.of_type("AWS::EC2::SecurityGroupIngress").values()}
    assert {18000, 50051} <= ports


def test_with_a_certificate_clients_fetch_their_targets_by_tls() -> None:
    fleet = Fleet()
    zone = route53.HostedZone(fleet.stack, "Zone", zone_name="example.com")
    certificate = acm.Certificate.from_certificate_arn(
        fleet.stack, "Certificate", "arn:aws:acm:us-east-1:111122223333:certificate/0a1b2c3d"
    )
    balancer = GrpcBalancer(
        fleet.stack,
        "Secure",
        cluster=fleet.cluster,
        only_services=["prices"],
        domain_name="grpc.example.com",
        domain_zone=zone,
        xds_certificate=certificate,
    )
    prices = balancer.add_service("Prices", image=IMAGE, port=7001)
    balancer.connect(fleet.plain("Client", 9000), to=[prices])
    made = synthesise(fleet.stack)
    (server,) = bootstrap_of(made, "ClientApp")["xds_servers"]
    assert server["server_uri"] == "grpc.example.com:18000"
    assert server["channel_creds"] == [{"type": "tls"}]
    listener = made.the("AWS::ElasticLoadBalancingV2::Listener", "SecureLoadBalancerXds")
    assert (listener["Protocol"], listener["Port"], listener["AlpnPolicy"]) == ("TLS", 18000, ["HTTP2Only"])
    with pytest.raises(ValueError, match="domain_name must be given with xds_certificate"):
        GrpcBalancer(fleet.stack, "Nameless", cluster=fleet.cluster, xds_certificate=certificate)


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    """One for all that is refused, each with a client of its own."""
    return Fleet()


def strange(fleet: Fleet) -> None:
    fleet.balancer.connect(fleet.plain("Strange", 9000), to=[fleet.plain("Stranger", 7001)])


def twice(fleet: Fleet) -> None:
    client = fleet.plain("Twice", 9000)
    for _ in range(2):
        fleet.balancer.connect(client, to=[fleet.numbers])


def nobody(fleet: Fleet) -> None:
    fleet.balancer.connect(fleet.plain("Nobody", 9000), to=[])


def no_such_container(fleet: Fleet) -> None:
    fleet.balancer.connect(fleet.plain("Client", 9000), to=[fleet.numbers], container_name="x")


def from_nowhere(fleet: Fleet) -> None:
    job = ecs.FargateTaskDefinition(fleet.stack, "Job")
    job.add_container("Main", image=IMAGE)
    fleet.balancer.connect(job, to=[fleet.numbers])


@pytest.mark.parametrize(
    ("misuse", "said"),
    [
        (strange, r"to must be services that are behind this balancer: .*Numbers.*, got Fleet/Stranger"),
        (twice, r"one without GRPC_XDS_BOOTSTRAP_CONFIG: connect it once, with all that it calls, got TwiceApp"),
        (nobody, r"to must be a list that names at least one service, got none"),
        (no_such_container, r"container_name must be one of Helper, ClientApp \(Fleet/ClientTask\), got 'x'"),
        (from_nowhere, r"source must be given where the client is a task definition"),
    ],
)
def test_a_misuse_is_an_error_that_says_what_to_do(fleet: Fleet, misuse: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        misuse(fleet)


def only_proxyless(stack: cdk.Stack, **props: Any) -> GrpcBalancer:
    cluster = ecs.Cluster(stack, "Cluster", vpc=ec2.Vpc(stack, "Vpc", restrict_default_security_group=False))
    return GrpcBalancer(stack, "Balancer", cluster=cluster, proxyless_only=True, **props)


def test_a_balancer_for_clients_without_a_proxy_alone_is_small_and_has_the_xds_port_alone() -> None:
    stack = cdk.Stack(template_app(), "Fleet")
    balancer = only_proxyless(stack, log_level="warning")
    numbers = balancer.add_service("Numbers", image=IMAGE, port=50051)
    client = balancer.add_service("Front", image=IMAGE, port=50052, hosts=["front.test"])
    assert balancer.connect(client, to=[numbers]) == ["xds:///numbers"]
    balancer.add_alarms()
    balancer.add_dashboard()
    made = synthesise(stack)
    environment = made.environment("Balancer")
    assert (environment["GRPC_LB_ENVOY"], environment["GRPC_LB_LOG_LEVEL"]) == ("false", "warning")
    assert "GRPC_LB_ENVOY_CONCURRENCY" not in environment
    (task,) = (
        each for name, each in made.of_type("AWS::ECS::TaskDefinition").items() if name.startswith("BalancerTask")
    )
    assert (task["Cpu"], task["Memory"]) == ("256", "512")
    (container,) = task["ContainerDefinitions"]
    assert {each["ContainerPort"] for each in container["PortMappings"]} == {8080, 8081, 18000}
    (listener,) = made.of_type("AWS::ElasticLoadBalancingV2::Listener").values()
    assert listener["Port"] == 18000
    (group,) = made.of_type("AWS::ElasticLoadBalancingV2::TargetGroup").values()
    assert (group["Port"], group["HealthCheckPort"]) == (18000, "8081")
    assert 50051 not in {port for _, port in made.open_ports("BalancerLoadBalancer")}
    assert (balancer.xds_listener, balancer.port) == (balancer.listener, 18000)


@pytest.mark.parametrize("prop", [{"port": 50051}, {"client_addresses": True}, {"envoy_concurrency": 1}])
def test_what_is_about_carried_calls_is_refused_where_none_are_carried(prop: dict[str, Any]) -> None:
    (name,) = prop
    with pytest.raises(ValueError, match=f"{name} and proxyless_only must not be given both: {name} is about calls"):
        only_proxyless(cdk.Stack(template_app(), "Fleet"), **prop)


def test_a_balancer_without_a_proxy_serves_xds_by_tls_with_a_certificate() -> None:
    stack = cdk.Stack(template_app(), "Fleet")
    zone = route53.HostedZone.from_hosted_zone_attributes(stack, "Zone", hosted_zone_id="Z1", zone_name="a.test")
    certificate = acm.Certificate.from_certificate_arn(stack, "Certificate", "arn:aws:acm:eu-central-1:1:certificate/1")
    only_proxyless(stack, xds_certificate=certificate, domain_name="lb.a.test", domain_zone=zone)
    (listener,) = synthesise(stack).of_type("AWS::ElasticLoadBalancingV2::Listener").values()
    assert (listener["Port"], listener["Protocol"], listener["AlpnPolicy"]) == (18000, "TLS", ["HTTP2Only"])


def test_a_client_that_prefers_its_zone_waits_for_a_container_that_asks_ecs_for_it() -> None:
    fleet = Fleet()
    client = fleet.plain("Client", 9000)
    fleet.balancer.connect(client, to=[fleet.numbers], own_zone=True)
    made = synthesise(fleet.stack)
    (task,) = (each for name, each in made.of_type("AWS::ECS::TaskDefinition").items() if name.startswith("ClientTask"))
    containers = {each["Name"]: each for each in task["ContainerDefinitions"]}
    app, writer = containers["ClientApp"], containers["GrpcXdsBootstrap"]
    assert app["DependsOn"] == [{"ContainerName": "GrpcXdsBootstrap", "Condition": "SUCCESS"}]
    assert not writer["Essential"]
    assert "DependsOn" not in containers["Helper"]
    named = {each["Name"]: each["Value"] for each in app["Environment"]}
    assert named["GRPC_XDS_BOOTSTRAP"] == "/etc/grpc-xds/bootstrap.json"
    assert "GRPC_XDS_BOOTSTRAP_CONFIG" not in named, "gRPC has one bootstrap"
    (volume,) = task["Volumes"]
    assert {each["SourceVolume"] for one in (app, writer) for each in one["MountPoints"]} == {volume["Name"]}
    assert [one["MountPoints"][0]["ReadOnly"] for one in (app, writer)] == [True, False]
    # Without an entry point of its own, the container would be a second balancer.
    assert writer["EntryPoint"] == ["python", "-m", "proxy_image.client_bootstrap"]
    (written,) = writer["Command"]
    assert written == f"{writer['MountPoints'][0]['ContainerPath']}/bootstrap.json"
    (balancer,) = (
        each for name, each in made.of_type("AWS::ECS::TaskDefinition").items() if name.startswith("BalancerTask")
    )
    assert writer["Image"] == balancer["ContainerDefinitions"][0]["Image"]
    with pytest.raises(ValueError, match="one without GRPC_XDS_BOOTSTRAP: connect it once"):
        fleet.balancer.connect(client, to=[fleet.orders])


def test_a_client_on_another_cpu_cannot_have_its_zone_told_by_the_balancers_image() -> None:
    fleet = Fleet()
    arm = ecs.RuntimePlatform(cpu_architecture=ecs.CpuArchitecture.ARM64)
    job = ecs.FargateTaskDefinition(fleet.stack, "Job", runtime_platform=arm)
    job.add_container("Main", image=IMAGE)
    group = ec2.SecurityGroup(fleet.stack, "JobGroup", vpc=fleet.vpc)
    with pytest.raises(ValueError, match="own_zone must be left out where client and balancer have different CPUs"):
        fleet.balancer.connect(job, to=[fleet.numbers], source=group, own_zone=True)
