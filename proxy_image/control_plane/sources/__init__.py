"""Where the target document comes from: SSM, with the last good one on disk behind it, or a file."""
