"""What a running service tells of itself: metrics, logs, traces. Nothing that is mounted needs it."""
