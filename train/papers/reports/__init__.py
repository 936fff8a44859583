"""Each paper's report: its pictures, its further tables and its findings."""
