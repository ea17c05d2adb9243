"""Metrics, alarms, the dashboard, traces and the access log."""
