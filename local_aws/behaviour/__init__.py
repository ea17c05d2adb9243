"""How AWS behaves where a stand-in usually does not: slow, throttled, limited, late, repeated, out of date.

Pure functions and small state machines over a clock and a seeded random source that the caller passes, so that the same
behaviour serves virtual time (the Lambda's tests) and real time (the local AWS, the benchmark). Standard library only.
"""
