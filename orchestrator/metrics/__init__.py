"""What a process counts and measures of its work, and how Prometheus reads it.

Most modules here know no library: steps, leases and sweeps count into ``Measurements``. ``exporter`` alone imports
``prometheus_client``, and is imported where somebody may ask for the metrics.
"""
