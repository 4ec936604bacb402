"""`reki release`: which releases there are, what is in one, and how two differ."""
