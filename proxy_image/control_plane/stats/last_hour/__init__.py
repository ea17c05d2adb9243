"""The last hour by the minute, in memory and on disk."""
