"""The balancer: a supervisor, its Envoy and its control plane."""
