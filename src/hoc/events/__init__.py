"""Events: numbering them, publishing them to NATS, and handling those of others."""
