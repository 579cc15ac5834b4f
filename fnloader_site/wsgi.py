"""The site for a WSGI server; refuses to start with an invalid setting."""

import os
import sys

from django.core.checks import run_checks
from django.core.wsgi import get_wsgi_application

from core.input import refuse_charsets

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fnloader_site.settings")
application = refuse_charsets(get_wsgi_application())

if problems := [message for message in run_checks(tags=["fnloader"]) if message.is_serious()]:
    sys.exit("\n".join(str(problem) for problem in problems))
