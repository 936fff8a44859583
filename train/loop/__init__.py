"""The training loop: samples, steps, metrics, callbacks, schedules and the history they write."""
