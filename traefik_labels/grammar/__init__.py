"""The small languages in Traefik's labels and options."""
