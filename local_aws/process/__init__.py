"""Processes that cannot outlive their run."""
