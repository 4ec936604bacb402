"""Events in: behaviour, user state, change detection, refreshes, erasure, backfill."""
