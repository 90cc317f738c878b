"""The values that nobody may read: from the environment, and from the files that `ticketd.toml` names."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from ticketd.app.places import Places
from ticketd.domain.secrets import NO_SECRETS, Secrets, secrets_of, values_of_file
from ticketd.domain.settings import Settings
from ticketd.engines.run import read_environment
from ticketd.files import CONFIG, CheckoutFiles
from ticketd.ports import Store


class KnownSecrets:
    """Looked at again when `ticketd.toml` or one of those files has changed. A value that has been changed is still
    looked for: agents may have the old one. Safe to share between threads."""

    def __init__(self, files: CheckoutFiles, environ: Mapping[str, str]) -> None:
        self._files = files
        self._environs = [environ]
        self._values: set[tuple[str, str]] = set()
        self._settings = Settings()
        self._stamp: tuple[str, ...] = ()
        self._secrets = NO_SECRETS
        self._lock = threading.Lock()

    def __call__(self) -> Secrets:
        with self._lock:
            stamp = self._files.stamps_of((CONFIG, *self._settings.secrets.files))
            if stamp != self._stamp:
                self._look()
            return self._secrets

    def redact_text(self, text: str) -> str:
        return self().redact_text(text)

    def learn(self, places: Places, store: Store) -> None:
        """What agents that still run were given, maybe by a daemon that was started elsewhere."""
        given = [read_environment(places.run_dir(attempt.key)) for attempt in store.live_attempts()]
        with self._lock:
            self._environs += given
            self._stamp = ()

    def _look(self) -> None:
        self._settings = self._files.settings().settings or self._files.last_good_settings() or Settings()
        self._stamp = self._files.stamps_of((CONFIG, *self._settings.secrets.files))
        before = len(self._values)
        self._values.update(self._found())
        if len(self._values) != before:
            self._secrets = secrets_of(self._values)

    def _found(self) -> Iterator[tuple[str, str]]:
        exempt = self._settings.secrets.exempt
        for name in sorted(self._settings.secret_variables()):
            yield from ((name, environ[name]) for environ in self._environs if name in environ)
        for path in self._settings.secrets.files:
            name = Path(path).name
            text = self._files.text_of(path)
            yield from (each for each in values_of_file(name, text) if each[0] not in exempt and path not in exempt)
