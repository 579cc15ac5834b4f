"""The site: settings from the environment, urls, wsgi, the overview page, and what both apps share."""
