"""A model behind a local page and a JSON API: uploads, a queue of jobs, what the page shows."""
