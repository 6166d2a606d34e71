"""The export formats of other systems: a module for each, which turns a record of it into a user."""
