"""Traefik's dynamic configuration, as labels hold it."""
