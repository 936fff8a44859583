"""Decorators: backends around a backend, each one short file."""
