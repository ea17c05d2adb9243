"""How Envoy reports calls: access log, statistics and traces."""
