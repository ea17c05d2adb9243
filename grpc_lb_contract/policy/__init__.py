"""Traffic policies: their settings, and what each may hold."""
