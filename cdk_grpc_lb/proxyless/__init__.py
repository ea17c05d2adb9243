"""gRPC clients that call the tasks directly: what `balancer.connect` adds to them."""
