"""The scopes of operations outside the console: a caller needs one of a tuple."""

READERS = ("accounts:read", "accounts:admin")
WRITERS = ("accounts:write", "accounts:admin")
ADMINS = ("accounts:admin",)
SUPPORTERS = ("accounts:support", "accounts:admin")
SCOPES = ("accounts:read", "accounts:write", "accounts:support", "accounts:admin")
