"""``slowfast finetune``: from folders of videos to a model that knows their classes."""
