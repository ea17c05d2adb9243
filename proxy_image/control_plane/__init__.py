"""The control plane: from the target document to xDS, for the balancer's own Envoy and for gRPC clients."""

import os

# gRPC's C core writes lines of its own to stderr, between our JSON; what they tell is in its exceptions too. It reads
# the variable when it is loaded.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
