"""The five papers: each one's experiments, beside what it reports."""
