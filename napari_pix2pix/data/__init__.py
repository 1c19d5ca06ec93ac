"""What a pair is, and how it becomes planes in [-1, 1], patches and held-out areas (numpy only)."""
