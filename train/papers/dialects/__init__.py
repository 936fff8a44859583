"""The papers' APIs: thin adapters over Lamina's layers, losses and optimizers."""
