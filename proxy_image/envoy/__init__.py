"""Envoy as a program: its binary, its bootstrap, its admin interface."""
