"""A balancer serves no service that another one of the cluster has."""

from __future__ import annotations

import shutil

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb import GrpcBalancedService, GrpcBalancer
from cdk_grpc_lb.service.containers import labels_of
from grpc_lb_contract.document.balancers import REGISTERED_LABEL, name_of
from tests.cdk_grpc_lb.template import Synthesised, as_text
from tests.cdk_grpc_lb.validation.cases import existing_cluster
from tests.cdk_grpc_lb.ways import IMAGE, existing_vpc


def served(networks: dict[str, Synthesised], part_of_id: str) -> object:
    functions = networks["Neighbours"].of_type("AWS::Lambda::Function")
    (function,) = (each for name, each in functions.items() if name.startswith(part_of_id))
    return function["Environment"]["Variables"]["GRPC_LB_ONLY_SERVICES"]


def test_a_balancer_that_a_service_makes_serves_it_alone(networks: dict[str, Synthesised]) -> None:
    """GIVEN two services of one cluster, each with its own balancer, THEN neither serves the other's, and a service
    that is added to one of them is served by that one.
    """
    assert served(networks, "Orders") == "orders"
    assert served(networks, "Users") == "users,groups"


def test_two_balancers_that_would_serve_each_others_services_are_refused(stack: cdk.Stack) -> None:
    cluster = existing_cluster(stack)
    orders = GrpcBalancer(stack, "OrdersBalancer", cluster=cluster)
    orders.add_service("Orders", image=IMAGE, port=1)
    users = GrpcBalancer(stack, "UsersBalancer", cluster=cluster)
    users.add_service("Users", image=IMAGE, port=1)
    (problem,) = orders.node.validate()
    assert problem.startswith(
        "Stack/OrdersBalancer would also serve Stack/UsersBalancer/Users/Service, registered with "
        "Stack/UsersBalancer of the same cluster, Stack/Existing"
    )
    assert "only_services" in problem
    assert "Stack/OrdersBalancer/Orders/Service" in users.node.validate()[0]


def test_so_are_those_of_a_stack_whose_app_is_left_out() -> None:
    """GIVEN ``Stack()``, as in unit tests, whose app Node alone knows, THEN its balancers are compared all the same."""
    stack = cdk.Stack()
    cluster = existing_cluster(stack)
    for name in ("Orders", "Users"):
        GrpcBalancer(stack, f"{name}Balancer", cluster=cluster).add_service(name, image=IMAGE, port=1)
    found = [problem for child in stack.node.children for problem in child.node.validate()]
    assert len(found) == 2
    assert "of the same cluster, Default/Existing" in found[0]
    app = cdk.Stage.of(stack)
    assert app is not None
    shutil.rmtree(app.outdir)


def test_patterns_and_labels_keep_balancers_apart(stack: cdk.Stack) -> None:
    cluster = existing_cluster(stack)
    by_name = GrpcBalancer(stack, "ByName", cluster=cluster, only_services=["orders-*"])
    by_name.add_service("OrdersApi", image=IMAGE, port=1)
    by_label = GrpcBalancer(stack, "ByLabel", cluster=cluster, only_label="team=users")
    by_label.add_service("Users", image=IMAGE, port=1)
    assert by_name.node.validate() == by_label.node.validate() == []


def test_a_service_that_is_registered_with_both_is_meant(stack: cdk.Stack) -> None:
    cluster = existing_cluster(stack)
    inside, outside = (GrpcBalancer(stack, name, cluster=cluster) for name in ("Inside", "Outside"))
    orders = inside.add_service("Orders", image=IMAGE, port=1)
    outside.register(orders.service, service_name="orders", port=1)
    assert inside.node.validate() == outside.node.validate() == []


def test_balancers_of_several_stacks_are_compared_where_the_cluster_is_surely_the_same(stack: cdk.Stack) -> None:
    app = cdk.Stage.of(stack)
    assert app is not None

    def balancer(stack: cdk.Stack, cluster_name: str) -> GrpcBalancer:
        cluster = ecs.Cluster.from_cluster_attributes(
            stack, "Cluster", cluster_name=cluster_name, vpc=existing_vpc(stack)
        )
        made = GrpcBalancer(stack, "Balancer", cluster=cluster)
        GrpcBalancedService(stack, "Orders", image=IMAGE, port=1, balancer=made)
        return made

    shared = balancer(cdk.Stack(app, "A"), "shared"), balancer(cdk.Stack(app, "B"), "shared")
    other = balancer(cdk.Stack(app, "C"), "other")
    elsewhere = balancer(cdk.Stack(cdk.Stage(app, "Prod"), "A"), "shared")
    assert [len(each.node.validate()) for each in (*shared, other, elsewhere)] == [1, 1, 0, 0]


def test_a_service_names_the_balancers_that_it_is_registered_with(
    networks: dict[str, Synthesised], stack: cdk.Stack
) -> None:
    """GIVEN services of balancers of their own, and one of two balancers, THEN each container's label names them as
    their Lambdas know themselves, without a reference that would tie stacks together.
    """
    neighbours = networks["Neighbours"]
    named = {
        container["DockerLabels"]["grpc-lb.service"]: container["DockerLabels"][REGISTERED_LABEL]
        for definition in neighbours.of_type("AWS::ECS::TaskDefinition").values()
        for container in definition["ContainerDefinitions"]
        if "grpc-lb.service" in container.get("DockerLabels", {})
    }
    prefixes = {
        function["Environment"]["Variables"]["GRPC_LB_ONLY_SERVICES"]: as_text(
            function["Environment"]["Variables"]["GRPC_LB_PARAMETER_PREFIX"]
        ).replace("${AWS::StackName}", "Neighbours")
        for function in neighbours.of_type("AWS::Lambda::Function").values()
    }
    assert named["orders"] == name_of(prefixes["orders"])
    assert named["users"] == named["groups"] == name_of(prefixes["users,groups"])

    cluster = existing_cluster(stack)
    inside, outside = (GrpcBalancer(stack, name, cluster=cluster) for name in ("Inside", "Outside"))
    orders = inside.add_service("Orders", image=IMAGE, port=1)
    outside.register(orders.service, service_name="orders", port=1)
    (first, second) = str(labels_of(orders.container)[REGISTERED_LABEL]).split(",")
    assert first.startswith("Stack/Inside-")
    assert second.startswith("Stack/Outside-")
