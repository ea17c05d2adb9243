"""Subnets, addresses and endpoints: whether tasks reach what they need."""
