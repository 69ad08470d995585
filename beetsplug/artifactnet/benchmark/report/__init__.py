"""Pages, charts and files that a benchmark leaves."""
