"""A real Traefik beside this balancer: both get the same tasks and the same calls, and who answers is compared."""
