"""Events: numbering them, publishing them to NATS, and handling inbound ones."""
