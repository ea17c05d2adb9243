"""The other balancers of the same services: what each says of itself, asked while someone looks."""
