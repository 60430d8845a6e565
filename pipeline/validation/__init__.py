"""The checks between raw rows and training: measured, judged by Great Expectations, let through or set aside."""
