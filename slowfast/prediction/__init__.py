"""From what a user names to what a model says of it: sources, long videos, cameras, boxes, features, records."""
