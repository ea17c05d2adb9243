"""Network Load Balancers and their target groups."""
