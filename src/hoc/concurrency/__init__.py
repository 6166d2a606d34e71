"""Concurrency without any domain: limiter, batch loader, single flight, background work."""
