"""Resources for gRPC clients that call targets without a proxy."""
