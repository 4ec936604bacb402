"""Data sets as records: each adapter is a file."""
