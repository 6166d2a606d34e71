"""Events on NATS: putting them in line, publishing them, and handling those of others."""
