"""The demo: the whole walk on real data, live on the screen and measured in `summary.json`."""
