import QtQuick

// Plain text: nothing that a server or a message says is taken for markup.
Text {
    color: Theme.text
    font.pixelSize: Theme.bodySize
    lineHeight: 1.15
    textFormat: Text.PlainText
    wrapMode: Text.Wrap

    Accessible.role: Accessible.StaticText
    Accessible.name: text
}
