"""A small random-number service: the example workload, and the load that measures how its calls are spread."""
