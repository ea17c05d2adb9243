"""The balanced service: its task, its containers, its deployment and scaling."""
