"""The papers' ways of speaking: thin adapters over Lamina's own layers, losses and optimizers."""
