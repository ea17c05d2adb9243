"""What became of targets and documents, in memory and bounded."""
