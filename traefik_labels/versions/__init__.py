"""Traefik's labels of version 1, and of versions 2 and 3, each read into routes and policies."""
