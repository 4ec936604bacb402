"""`reki evaluate`: recommenders compared, with the report."""
