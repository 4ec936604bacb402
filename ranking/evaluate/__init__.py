"""Honest comparison of recommenders: metrics, paired intervals over users, a resumable runner, and the report."""
