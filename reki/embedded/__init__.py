"""The services that `reki up`, the demo and the tests run on this machine, each from an installed package."""
