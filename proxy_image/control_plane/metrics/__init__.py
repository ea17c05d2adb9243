"""Metrics: Prometheus and CloudWatch."""
