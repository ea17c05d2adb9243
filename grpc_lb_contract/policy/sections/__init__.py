"""A file for each section of a policy: its settings, what each may hold, and which contradict each other."""
