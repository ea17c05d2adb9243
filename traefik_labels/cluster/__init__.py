"""What labels of all containers of a cluster say together: one Traefik reads them all."""
