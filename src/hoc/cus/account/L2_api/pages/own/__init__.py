"""The pages of a signed-in person: the profile, the projects, the invitations."""
