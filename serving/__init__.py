"""Triton: model repository, fast feature reader, server start, gRPC client."""
