"""Docker labels: their names, how they are read, and what a container asks for with them."""
