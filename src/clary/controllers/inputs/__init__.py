"""How data come to a job: which objects a request means, and how its hosts get to see them."""
