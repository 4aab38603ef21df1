"""The page's words in the user's language, from the .ts file as translators leave it.

A compiled file beside it would be a second copy to keep, or a tool to run on the user's machine; so
it is compiled here, at the start. Not looked up here: Qt asks for words in threads of its own, and
Python would have to let them in while it waits for them.
"""

from collections.abc import Sequence
from importlib import resources
from xml.etree import ElementTree

from PySide6.QtCore import QLocale, QObject, QTranslator

from devtelemetry.desktop.qm import Text, compiled

_SOURCE_LANGUAGE = "en"  # what the page itself is written in
_FILES = resources.files(__package__).joinpath("i18n")


class Translation(QTranslator):
    """The words for the first of these languages that there are words for.

    languages  as BCP 47 names them, the user's first choice first; None: the system's

    For `QCoreApplication.installTranslator`; without words it is empty and changes nothing.
    """

    def __init__(
        self, languages: Sequence[str] | None = None, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        if languages is None:
            languages = QLocale.system().uiLanguages()
        words = _words(languages)
        if words:
            self._data = compiled(words)  # kept: Qt reads it where it is
            self.load(self._data)


def _words(languages: Sequence[str]) -> dict[Text, str]:
    for language in languages:
        if language.partition("-")[0] == _SOURCE_LANGUAGE:
            break
        file = _FILES.joinpath(f"devtelemetry_{language.replace('-', '_')}.ts")
        if file.is_file():
            return read_ts(file.read_text(encoding="utf-8"))
    return {}


def read_ts(text: str) -> dict[Text, str]:
    """What is translated in a .ts file."""
    words = {}
    for context in ElementTree.fromstring(text).iter("context"):  # noqa: S314 - ships with us
        name = context.findtext("name", "")
        for message in context.iter("message"):
            translation = message.find("translation")
            if translation is None or translation.get("type") is not None:
                continue  # unfinished, or of a text that is no more
            source, comment = message.findtext("source", ""), message.findtext("comment", "")
            words[Text(name, source, comment)] = translation.text or ""
    return words
