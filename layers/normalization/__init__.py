"""Normalisation: over the batch, over a layer, over groups of channels."""
