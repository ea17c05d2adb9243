"""From an ECS task's state change to the target document in SSM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from cdk_grpc_lb.argument_types import check_arguments
from cdk_grpc_lb.balancer.parameters import check_prefix
from cdk_grpc_lb.balancer.permissions import allow_listing, allow_publishing
from cdk_grpc_lb.balancer.removal import check_removal, remove_with_stack, suffix_of
from cdk_grpc_lb.monitoring.call_metrics import MetricsSource
from cdk_grpc_lb.paths import path_of
from cdk_grpc_lb.routing.service_registry import check_admission
from cdk_grpc_lb.signatures import shown
from cdk_grpc_lb.staging import stage
from cdk_grpc_lb.tokens import texts_of
from cdk_grpc_lb.validation import Props, check_cluster
from grpc_lb_contract.cloudwatch import NAMESPACE
from traefik_labels import TraefikLabels
from traefik_labels.settings import to_json

LAMBDA_FOLDERS = ("lambda_src", "grpc_lb_contract", "traefik_labels")
# All events of a cluster are one message group, so that one refresh runs at a time (invariant 3).
_MESSAGE_GROUP = "targets"
# As much as buys a whole CPU, which refreshes use for most of their time and which costs cents a month; see
# benchmarks/aws_latency.py. https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
_MEMORY_MEGABYTES = 1769
_REFRESH_TIMEOUT = cdk.Duration.seconds(60)
# Three times a refresh, so that a batch whose invocation was throttled at first is not handed out twice; not the six
# times that AWS advises: until it ends, a batch whose function was killed holds up every later hint of the group.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
_VISIBILITY_TIMEOUT = cdk.Duration.seconds(180)
# Each attempt retries for most of a minute by itself: a dead letter means minutes of failures.
_ATTEMPTS = 5
_DEAD_LETTER_RETENTION = cdk.Duration.days(14)
# Events are hints: after an hour of refreshes that all failed, an old one tells nothing a new one does not.
_EVENT_RETENTION = cdk.Duration.hours(1)
_RUNTIME = lambda_.Runtime.PYTHON_3_14
_ARCHITECTURE = lambda_.Architecture.ARM_64
_EVERY_MINUTE = events.Schedule.rate(cdk.Duration.minutes(1))
ONLY_SERVICES = "GRPC_LB_ONLY_SERVICES"
# All variables of a function have 4,096 bytes, of which the names of cluster, parameters and metrics may need 1,000:
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_MAX_SETTINGS = 3_000
# The most that a FIFO queue hands to a function at once; a burst of events becomes one refresh.
_BATCH_SIZE = 10


@shown
class TargetSync(Construct):
    """Keeps the target document of a cluster: the ECS services that take part, and the addresses of their tasks.

    A change of a task reaches the document in about a second; a refresh every minute makes up for lost events.
    Its parts are attributes: ``queue``, ``dead_letter_queue``, ``function``, ``role``, ``log_group``, ``task_rule``,
    ``minute_rule``. Raises ValueError at synth for a prefix that no parameter can have.

    :param cluster: The cluster whose tasks are listed.
    :param parameter_prefix: The path in SSM Parameter Store under which the document is written, such as
        ``/grpc-lb/my-stack/my-balancer``; without a slash at the end.
    :param exposed_by_default: Whether containers take part that no label asks for. By default they do not.
    :param only_services: The logical names of the services that are listed, with ``*`` and ``?`` as wildcards. By
        default, all.
    :param only_label: A docker label that a container must have, ``team=orders``, or ``team`` for any value. By
        default, none.
    :param traefik_labels: Reads Traefik's docker labels too, as a Traefik with these options does. By default, only
        labels of this library.
    :param cloudwatch_name: The value of the dimension ``Balancer`` of the metrics that the function publishes. By
        default, it publishes none.
    :param cloudwatch_namespace: The namespace of those metrics. By default ``GrpcLb``.
    :param log_retention: How long the function's logs are kept. By default, one month.
    :param removal_policy: Whether the parameters are deleted with the stack (``DESTROY``) or stay (``RETAIN``). By
        default they are deleted.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - the name that every construct gives it
        *,
        cluster: ecs.ICluster,
        parameter_prefix: str,
        exposed_by_default: bool = False,
        only_services: Sequence[str] | None = None,
        only_label: str | None = None,
        traefik_labels: TraefikLabels | None = None,
        cloudwatch_name: str | None = None,
        cloudwatch_namespace: str = NAMESPACE,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.DESTROY,
    ) -> None:
        given = dict(locals())
        super().__init__(scope, id)
        props = Props(type(self).__name__, path_of(self))
        check_arguments(props, TargetSync.__init__, given)
        check_admission(props, only_services, only_label)
        check_removal(props, removal_policy)
        published = MetricsSource(props, cloudwatch_name, cloudwatch_namespace)
        published.check()
        check_prefix(props, parameter_prefix)
        check_cluster(props, self, cluster)
        services = "" if only_services is None else ",".join(texts_of(only_services))
        traefik = "" if traefik_labels is None else to_json(traefik_labels)
        longest = "only_services" if len(services) >= len(traefik) else "traefik_labels"
        check_settings_fit(props, longest, services, traefik, only_label or "")
        self.cluster = cluster
        self.parameter_prefix = parameter_prefix
        stack = cdk.Stack.of(self)
        suffix = suffix_of(stack, parameter_prefix)
        self.dead_letter_queue: sqs.Queue = self._make_dead_letter_queue()
        self.queue: sqs.Queue = self._make_queue()
        self.log_group: logs.LogGroup = logs.LogGroup(self, "Logs", retention=log_retention)
        self.role: iam.Role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.log_group.grant_write(self.role)
        allow_listing(stack, self.role, cluster_arn=cluster.cluster_arn, cluster_name=cluster.cluster_name)
        publishing = allow_publishing(self, stack, self.role, parameter_prefix, suffix)
        environment = {
            "GRPC_LB_CLUSTER": cluster.cluster_arn,
            "GRPC_LB_PARAMETER_PREFIX": parameter_prefix,
            **({"GRPC_LB_EXPOSED_BY_DEFAULT": "true"} if exposed_by_default else {}),
            **({ONLY_SERVICES: services} if only_services is not None else {}),
            **({"GRPC_LB_ONLY_LABEL": only_label} if only_label is not None else {}),
            **({"GRPC_LB_TRAEFIK_LABELS": traefik} if traefik_labels is not None else {}),
            **published.environment,
        }
        self.function: lambda_.Function = self._make_function(environment)
        self._hand_messages_to_function()
        to_queue = targets.SqsQueue(self.queue, message_group_id=_MESSAGE_GROUP)
        self.task_rule: events.Rule = self._make_task_rule(to_queue)
        self.minute_rule: events.Rule = self._make_minute_rule(to_queue)
        self.function.node.add_dependency(publishing)
        remove_with_stack(self, self.function, parameter_prefix, suffix, publishing, policy=removal_policy)

    def _make_dead_letter_queue(self) -> sqs.Queue:
        return sqs.Queue(
            self,
            "DeadLetters",
            fifo=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=_DEAD_LETTER_RETENTION,
        )

    def _make_queue(self) -> sqs.Queue:
        # An event is deduplicated by its whole content, of which its id is a part: no two events are taken for one.
        return sqs.Queue(
            self,
            "Queue",
            fifo=True,
            content_based_deduplication=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            visibility_timeout=_VISIBILITY_TIMEOUT,
            retention_period=_EVENT_RETENTION,
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letter_queue, max_receive_count=_ATTEMPTS),
        )

    def _make_function(self, environment: Mapping[str, str]) -> lambda_.Function:
        return lambda_.Function(
            self,
            "Function",
            description="Lists the tasks of an ECS cluster and writes the target document of its gRPC balancer",
            runtime=_RUNTIME,
            architecture=_ARCHITECTURE,
            code=lambda_.Code.from_asset(stage(self, *LAMBDA_FOLDERS)),
            handler="lambda_src.handler.handler",
            environment=dict(environment),
            memory_size=_MEMORY_MEGABYTES,
            timeout=_REFRESH_TIMEOUT,
            role=self.role,
            log_group=self.log_group,
        )

    def _hand_messages_to_function(self) -> None:
        # One refresh answers a whole batch, so a batch succeeds or fails as one.
        # Not an SqsEventSource, whose id has the path of the whole app: a stack that moves into a stage would make a
        # second mapping of this queue before it deletes the first, and Lambda takes only one.
        self.queue.grant_consume_messages(self.role)
        self.function.add_event_source_mapping(
            "Messages", event_source_arn=self.queue.queue_arn, batch_size=_BATCH_SIZE
        )

    def _make_task_rule(self, to_queue: targets.SqsQueue) -> events.Rule:
        return events.Rule(
            self,
            "TaskStateChanges",
            description="A task of the cluster started, stopped, or was told to stop",
            event_pattern=events.EventPattern(
                source=["aws.ecs"],
                detail_type=["ECS Task State Change"],
                detail={"clusterArn": [self.cluster.cluster_arn]},
            ),
            targets=[to_queue],
        )

    def _make_minute_rule(self, to_queue: targets.SqsQueue) -> events.Rule:
        # ECS sends no event when only the health of a task changes, and delivers the others at least once, if at all.
        return events.Rule(
            self,
            "EveryMinute",
            description="Looks at the cluster again, for what no event told",
            schedule=_EVERY_MINUTE,
            targets=[to_queue],
        )


def check_settings_fit(props: Props, prop: str, *settings: str) -> None:
    """Raise ValueError for settings that Lambda would not take."""
    size = sum(len(setting.encode()) for setting in settings)
    if size > _MAX_SETTINGS:
        allowed = f"such that the Lambda's settings have at most {_MAX_SETTINGS} bytes (a name may have wildcards)"
        raise props.error(prop, allowed, str(size))
