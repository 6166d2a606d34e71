"""Sending events to webhook endpoints, by Standard Webhooks."""
