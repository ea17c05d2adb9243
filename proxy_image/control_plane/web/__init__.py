"""The web server on :8080 and what it serves."""
