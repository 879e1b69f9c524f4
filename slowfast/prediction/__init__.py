"""From what a user names to a model's predictions: sources, long videos, cameras, boxes, features, records."""
