"""A run, from its recipe to its folder: defaults, experiment, checkpoint, predictor."""
