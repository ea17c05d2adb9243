"""What Envoy tells of calls: access log, statistics and traces."""
