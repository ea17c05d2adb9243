"""The target document: its model, its records, its shards, and what it says of labels that were rejected."""
