"""The issuer that the tests' services take for the primary one."""

PRIMARY_ISSUER = "https://primary.example"
