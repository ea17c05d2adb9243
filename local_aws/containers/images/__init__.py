"""Builds the container images without a registry: a base by mmdebstrap, the wheels, one image for each asset."""
