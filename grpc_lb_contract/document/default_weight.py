"""The weight of an ECS service that has none, where another one of its logical service has one.

So a canary that weighs 5 gets about 5 percent without a change to the labels beside it.
"""

DEFAULT_WEIGHT = 100
