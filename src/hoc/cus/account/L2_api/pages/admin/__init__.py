"""Pages for those who operate the product: callers with the scope ``accounts:admin``."""
