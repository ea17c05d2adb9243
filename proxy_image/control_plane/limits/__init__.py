"""What one party may take of what all share: connections, descriptors, memory, the control plane's time, log lines."""
