"""The page's words in the user's language, from the .ts file that translators edit.

The file is compiled here at the start. A compiled copy would have to be kept up to date, or made by
a tool on the user's machine. Qt looks the words up itself. It does so in threads of its own, and a
look-up in Python could deadlock, because Python may be waiting for such a thread.
"""

from collections.abc import Sequence
from importlib import resources
from xml.etree import ElementTree

from PySide6.QtCore import QLocale, QObject, QTranslator

from devtelemetry.desktop.qm import Text, compiled

_SOURCE_LANGUAGE = "en"  # the language of the page's own texts
_FILES = resources.files(__package__).joinpath("i18n")


class Translation(QTranslator):
    """The words of the first of these languages that has a translation.

    languages  BCP 47 names, the user's first choice first; None: the system's

    For `QCoreApplication.installTranslator`. If no language has one, it is empty and changes
    nothing.
    """

    def __init__(
        self, languages: Sequence[str] | None = None, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        if languages is None:
            languages = QLocale.system().uiLanguages()
        words = _words(languages)
        if words:
            self._data = compiled(words)  # kept, because Qt does not copy it
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
    """The finished translations of a .ts file."""
    words = {}
    for context in ElementTree.fromstring(text).iter("context"):  # noqa: S314 - ships with us
        name = context.findtext("name", "")
        for message in context.iter("message"):
            translation = message.find("translation")
            if translation is None or translation.get("type") is not None:
                continue  # unfinished, or the text is no longer used
            source, comment = message.findtext("source", ""), message.findtext("comment", "")
            words[Text(name, source, comment)] = translation.text or ""
    return words
