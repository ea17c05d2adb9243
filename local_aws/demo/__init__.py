"""`make demo`: deploy the example into a local AWS, show the problem and its cure, then break things under load."""

import os

# What the load meets is in its report; gRPC's C core would add lines of its own when a connection goes away.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from local_aws.demo.play import main

__all__ = ["main"]
