"""What xrun costs, beside the least it could cost and beside torchx 0.7.0. See README.md."""
