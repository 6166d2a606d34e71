"""Invitation mail: composing it, and sending it to an SMTP server or to the development mailbox."""
