"""gRPC clients and servers that do what a script says, each by another library. peers/script.py is their contract."""
