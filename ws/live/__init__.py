"""What a long run shows while it goes on."""
