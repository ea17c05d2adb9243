"""From ECS and its events to the tasks of one cluster: listing, selection, freshness."""
