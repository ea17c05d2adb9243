"""Rules: which calls a router takes, and which containers a Traefik takes."""
