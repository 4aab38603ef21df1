"""What the commands do, with all that they need."""
