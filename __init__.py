"""Lamina: write a layer once against a thin backend protocol; run, prove and time it on every backend."""
