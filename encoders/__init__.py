"""Vectors: sentence encoder, HEIN, condensing knowledge to vectors, and the pure functions of a user's events."""
