"""Builds the container images without a registry: a base by debootstrap, the wheels, one image for each asset."""
