"""One HTML page about one test or several: ``contents.py`` gathers, ``page.py`` writes, ``page.js`` draws."""
