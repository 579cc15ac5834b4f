"""Django's formats of this site, by language."""
