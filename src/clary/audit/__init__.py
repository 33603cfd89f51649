"""What is kept of each call, and what it teaches: explanations of refusals, policies from what was used."""
