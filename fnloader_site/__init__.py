"""The project: settings from the environment, urls, wsgi, the overview, and what else joins both apps."""
