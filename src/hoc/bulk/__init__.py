"""Accounts from and to files: CSV with a header, or JSON lines."""
