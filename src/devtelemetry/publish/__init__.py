"""Sends figures to a store of time series, by Prometheus' remote write.

answer        what a store's answer means. Pure
remote_write  encodes and sends points
publisher     finds in the database which windows wait; one server of a deployment sends them
outgoing      HTTP requests to addresses in settings
slo           the objective as a file for other tools. Pure
"""
