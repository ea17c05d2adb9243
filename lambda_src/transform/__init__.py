"""From tasks and their labels to the target document. Pure functions."""
