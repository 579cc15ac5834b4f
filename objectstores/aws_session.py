"""Sessions of boto3, which finds credentials and region: never a prompt, nor a traceback in a log, but one clear line."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn

import boto3
import botocore.session
from botocore import exceptions as aws

from objectstores.answers import PASSWORD
from objectstores.base import Denied, Misconfigured, StoreError, Unavailable

SET_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
CHECK_ENDPOINT = (
    "check the endpoint URL (AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_<service>), for example https://s3.example.org"
)
_CHECK_PROFILE = "check the profile in AWS_PROFILE and its configuration file"
_LOGIN = "log in again: aws sso login --profile <AWS_PROFILE>"
MAX_ERROR_LENGTH = 500
_HINTS: tuple[tuple[type[BaseException], str], ...] = (
    (aws.NoCredentialsError, SET_CREDENTIALS),
    (aws.ProfileNotFound, "check AWS_PROFILE, or define that profile"),
    (aws.SSOError, _LOGIN),
    (aws.TokenRetrievalError, _LOGIN),
    (aws.NoAuthTokenError, _LOGIN),
    (aws.LoginError, ""),
    (aws.MissingDependencyException, ""),
    (aws.NoRegionError, "set AWS_REGION"),
    (aws.InvalidRegionError, "check AWS_REGION"),
    (aws.CredentialRetrievalError, _CHECK_PROFILE),
    (aws.InvalidConfigError, _CHECK_PROFILE),
    (aws.UnknownCredentialError, _CHECK_PROFILE),
    (aws.ConfigParseError, ""),
)
"""By the kind of error: what to do; empty: the error says so."""


def aws_region(settings: Mapping[str, str]) -> str | None:
    """The region that is set; botocore itself reads AWS_DEFAULT_REGION alone. None: the profile decides."""
    return settings.get("AWS_REGION") or settings.get("AWS_DEFAULT_REGION") or None


def aws_session(settings: Mapping[str, str]) -> boto3.session.Session:
    """A session with the credentials of `settings`, or of the environment if `settings` is that. Use `translated_errors`."""
    core = botocore.session.get_session()
    if settings is not os.environ and not settings.get("AWS_ACCESS_KEY_ID") and settings.get("AWS_PROFILE"):
        core.set_config_variable("profile", settings["AWS_PROFILE"])
    core.get_component("credential_provider").get_provider("assume-role")._prompter = _refuse_prompt  # noqa: SLF001
    if settings is not os.environ and settings.get("AWS_ACCESS_KEY_ID"):
        return boto3.session.Session(
            botocore_session=core,
            region_name=aws_region(settings),
            aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=settings.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=settings.get("AWS_SESSION_TOKEN"),
        )
    return boto3.session.Session(botocore_session=core, region_name=aws_region(settings))


def ca_bundle(session: boto3.session.Session, settings: Mapping[str, str]) -> str | None:
    """The file of CA certificates that botocore's settings or REQUESTS_CA_BUNDLE name; None: the usual ones."""
    bundle = session._session.get_config_variable("ca_bundle")  # noqa: SLF001 - boto3 has no way to it
    return bundle or settings.get("REQUESTS_CA_BUNDLE")


@contextmanager
def translated_errors(where: str) -> Iterator[None]:
    """Turns errors of botocore, while it looks for credentials and settings, into a StoreError that begins with `where`."""
    try:
        yield
    except StoreError as error:
        raise type(error)(f"{where}: {error}") from error
    except (aws.ConnectionError, aws.HTTPClientError, aws.MetadataRetrievalError) as error:
        raise Unavailable(f"{where}: source of the AWS credentials unavailable: {_one_line(error)}") from error
    except aws.ClientError as error:
        # An answer of the service that assumes a role, or of another source of credentials.
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = error.response.get("Error", {}).get("Code", "")
        if status >= 500 or "Throttl" in code:
            raise Unavailable(f"{where}: source of the AWS credentials unavailable: {_one_line(error)}") from error
        hint = "check the role and the keys of the profile in AWS_PROFILE"
        raise Denied(f"{where}: no AWS credentials: {_one_line(error)}; {hint}") from error
    except (aws.BotoCoreError, ValueError, OSError, RuntimeError) as error:
        hint = _hint(error)
        source = "source of the AWS credentials failed: " if hint == _CHECK_PROFILE else ""
        raise Misconfigured(f"{where}: {source}{_one_line(error)}{'; ' + hint if hint else ''}") from error


def _hint(error: BaseException) -> str:
    if isinstance(error, aws.PartialCredentialsError):
        return SET_CREDENTIALS if "AWS_" in str(error) else _CHECK_PROFILE
    for kind, hint in _HINTS:
        if isinstance(error, kind):
            return hint
    if "endpoint" in str(error).lower():
        return CHECK_ENDPOINT
    # A program or a file that a profile names.
    return _CHECK_PROFILE if isinstance(error, OSError | RuntimeError | ValueError) else ""


def _one_line(error: BaseException) -> str:
    text = " ".join(PASSWORD.sub("***", str(error)).split())[:MAX_ERROR_LENGTH].rstrip(".:; ")
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _refuse_prompt(prompt: str) -> NoReturn:
    """Instead of a question at the terminal, for which a job would wait for ever."""
    device = prompt.removeprefix("Enter MFA code for ").rstrip(": ")
    raise Denied(
        f"the profile in AWS_PROFILE needs the MFA code of {device}, and nobody can be asked for it;"
        " use a profile without mfa_serial, or temporary credentials (AWS_SESSION_TOKEN)"
    )


class _NoTraceback(logging.Filter):
    """Botocore logs an error with its traceback before it raises it: the one line of the error is enough."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        if record.exc_info:
            error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
            record.msg, record.args = f"{record.getMessage()} {_one_line(error) if error else ''}".strip(), ()
            record.exc_info = record.exc_text = None
            return "mandatory" not in record.msg
        return True


for _name in ("botocore.credentials", "botocore.tokens", "botocore.utils"):
    logging.getLogger(_name).addFilter(_NoTraceback())
