"""Resources for Envoy."""
