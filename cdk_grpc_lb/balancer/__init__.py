"""The balancer: its image, its load balancer, and the Lambda that keeps its target list."""
