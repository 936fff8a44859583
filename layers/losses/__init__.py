"""Part of Lamina."""
