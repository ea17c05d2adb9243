"""ECS: tasks as processes or containers, services, events."""
