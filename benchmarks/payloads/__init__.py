"""Programs that the benchmarks run; each stands alone and imports nothing of the harness."""
