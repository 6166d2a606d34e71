"""Invitation mail: composing it, and handing it to an SMTP server or to the development mailbox."""
