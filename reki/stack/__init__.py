"""The embedded stack: every service of REKI on this machine under one supervisor."""
