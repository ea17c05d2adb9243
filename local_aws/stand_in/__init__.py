"""What runs inside the local AWS: ministack, and beside it an ECS that starts processes and NLBs that carry connections.

Only ministack and the standard library are there to import.
"""
