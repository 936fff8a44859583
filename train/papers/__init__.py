"""The five papers: their experiments, and their reported numbers beside the reproduced ones."""
