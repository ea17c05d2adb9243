"""The first process: keeps Envoy and the control plane running, and ends them in order."""
