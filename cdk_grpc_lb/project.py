"""Where this project is: pyproject.toml says the same, and a test compares."""

REPOSITORY = "https://github.com/cdk-grpc-lb/cdk-grpc-lb"
RUNBOOK = f"{REPOSITORY}/blob/main/docs/operate/alarms.md"
"""A section for each alarm, under its name."""
