"""Subnets of a VPC."""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2

from cdk_grpc_lb.validation import Props


def subnets_of(props: Props, prop: str, vpc: ec2.IVpc, selection: ec2.SubnetSelection | None) -> ec2.SelectedSubnets:
    """Raises ValueError where the VPC has no such subnets."""
    try:
        found = (
            vpc.select_subnets(
                availability_zones=selection.availability_zones,
                one_per_az=selection.one_per_az,
                subnet_filters=selection.subnet_filters,
                subnet_group_name=selection.subnet_group_name,
                subnets=selection.subnets,
                subnet_type=selection.subnet_type,
            )
            if selection is not None
            else vpc.select_subnets()
        )
    except RuntimeError as error:  # what the CDK's own error comes as
        raise props.error(prop, f"subnets that the VPC {vpc.node.path} has", f"{selection} ({error})") from None
    if not found.subnet_ids and not found.is_pending_lookup:
        raise props.error(prop, f"at least one subnet of the VPC {vpc.node.path}", selection)
    return found


def address_ranges(vpc: ec2.IVpc) -> list[str]:
    """The addresses that the VPC is known to have; none where it was imported without them."""
    try:
        return [vpc.vpc_cidr_block]
    except RuntimeError:  # what the CDK's own error comes as
        return []
