"""The control plane: from the target document to xDS, for the balancer's own Envoy and for gRPC clients."""
