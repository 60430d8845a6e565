"""How good a student is: metrics, baselines beside it, statistics, timings, and the pages that show them."""
