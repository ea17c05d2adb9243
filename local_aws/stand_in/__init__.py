"""What runs inside the local AWS: ministack, an ECS that starts processes, and NLBs that carry connections.

Only ministack and the standard library are there to import.
"""
