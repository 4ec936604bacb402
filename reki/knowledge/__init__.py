"""`reki knowledge`: generate, show, export, import, discover, names."""
