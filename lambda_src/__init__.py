"""The Lambda: lists the tasks of one ECS cluster, reads their labels, and publishes the target document."""
