"""Metrics, logs and traces of the service. Mounting hoc in another application needs none of them."""
