"""The page in other languages: it is translated completely, by Qt's means."""

import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

import devtelemetry.desktop
from devtelemetry.client import Settings
from devtelemetry.desktop import QML_DIRECTORY
from devtelemetry.desktop.qm import Text, compiled

if TYPE_CHECKING:
    from PySide6.QtGui import QGuiApplication

    from support.page import OpenPage

FILES = sorted((Path(devtelemetry.desktop.__file__).parent / "i18n").glob("*.ts"))


def texts(file: Path) -> Counter[Text]:
    """All texts in a .ts file, translated or not."""
    return Counter(
        Text(
            context.findtext("name", ""),
            message.findtext("source", ""),
            message.findtext("comment", ""),
        )
        for context in ElementTree.parse(file).iter("context")
        for message in context.iter("message")
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_language_has_each_text_of_the_page_and_no_other(
    qt: "QGuiApplication", file: Path, tmp_path: Path
) -> None:
    from support.qt_tools import qt_tool  # noqa: PLC0415

    found = tmp_path / "found.ts"
    subprocess.run(
        [qt_tool("lupdate"), "-silent", QML_DIRECTORY, "-ts", found],
        check=True,
        capture_output=True,
    )
    assert len(texts(found)) > 80
    assert texts(file) == texts(found), "docs/desktop.md, Words"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_language_is_complete(qt: "QGuiApplication", file: Path) -> None:
    from devtelemetry.desktop.translation import read_ts  # noqa: PLC0415

    words = read_ts(file.read_text(encoding="utf-8"))
    assert set(words) == set(texts(file)), "something is unfinished"
    for text, translation in words.items():
        assert translation.strip(), text
        assert Counter(re.findall(r"%\d", translation)) == Counter(
            re.findall(r"%\d", text.source)
        ), text


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_qt_finds_each_word_of_a_language(qt: "QGuiApplication", file: Path) -> None:
    from devtelemetry.desktop.translation import Translation, read_ts  # noqa: PLC0415

    translation = Translation([file.stem.partition("_")[2].replace("_", "-")])
    words = read_ts(file.read_text(encoding="utf-8"))
    assert words
    for text, word in words.items():
        assert translation.translate(text.context, text.source, text.comment) == word
    assert not translation.translate("AnotherApp", "Cancel")


def test_texts_of_the_same_hash_are_told_apart(qt: "QGuiApplication") -> None:
    from PySide6.QtCore import QTranslator  # noqa: PLC0415

    words = {
        Text("Page", "ab", ""): "one",
        Text("Page", "bR", ""): "another",
        Text("Other", "ab", ""): "a third",
        Text("Page", "ab", "of a ship"): "a fourth",
        Text("Page", "Überall", ""): "überall €",
    }
    data = compiled(words)
    translator = QTranslator()
    assert translator.load(data)
    for text, word in words.items():
        assert translator.translate(text.context, text.source, text.comment) == word


def test_the_users_first_language_with_words_is_taken(qt: "QGuiApplication") -> None:
    from devtelemetry.desktop.translation import Translation  # noqa: PLC0415

    assert Translation(["tlh", "de-AT", "de", "en"]).translate("OptInDialog", "Cancel")
    assert Translation(["en-GB", "de"]).isEmpty()
    assert Translation(["tlh"]).isEmpty()


def test_the_page_speaks_german(
    open_page: "OpenPage", settings: Settings, qt: "QGuiApplication"
) -> None:
    from devtelemetry.desktop.translation import Translation  # noqa: PLC0415

    translation = Translation(["de"])
    qt.installTranslator(translation)
    try:
        page = open_page(settings)
        page.click("Zuverlässigkeits-Telemetrie senden")
        page.find("Einschalten")
        assert page.has("Niemals der Inhalt einer Nachricht.")
        assert page.window.title() == "Erweiterte Einstellungen"
    finally:
        qt.removeTranslator(translation)
