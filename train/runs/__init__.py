"""A run from its recipe to its folder: defaults, experiment, checkpoint, and prediction from what was kept."""
