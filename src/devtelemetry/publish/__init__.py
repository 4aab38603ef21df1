"""From figures to a store of time series, by Prometheus' remote write.

answer (pure: what a store's answer means) → remote_write (encodes and sends points) → publisher
(which windows wait, in the database; one server of a deployment sends them).
"""
