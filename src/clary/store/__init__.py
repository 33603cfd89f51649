"""What the platform remembers."""
