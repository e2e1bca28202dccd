"""Real systems that tests start, as a person can by the scripts here, and ways to break the line to them."""
