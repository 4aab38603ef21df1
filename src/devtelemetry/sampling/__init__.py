"""Decides, ahead of time, in how many messages clients report one."""
