"""Checking tenants' domains in DNS. Needs the `domains` extra."""
