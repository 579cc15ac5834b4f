"""Alarms: which concerns are new or over, and the channels that carry the news."""
