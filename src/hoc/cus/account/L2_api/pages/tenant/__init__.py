"""The pages of one tenant, for its members."""
