"""From a source to honest splits: read, cleaned, one canonical table, split by content, decontaminated."""
