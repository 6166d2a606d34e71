"""The pages that the links in mails open, for everybody."""
