"""How fast Clary is, beside other servers on the same machine in the same minutes; `scripts/bench` runs them."""
