import QtQuick

// Text as it is written: whatever a server or a message says is no markup.
Text {
    color: Theme.text
    font.pixelSize: Theme.bodySize
    lineHeight: 1.15
    textFormat: Text.PlainText
    wrapMode: Text.Wrap

    Accessible.role: Accessible.StaticText
    Accessible.name: text
}
