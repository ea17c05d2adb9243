"""Starting the whole stack, stopping it, and what is remembered of it in between."""
