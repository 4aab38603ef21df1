import QtQuick
import QtQuick.Layouts

RowLayout {
    id: bullet

    required property string text

    Layout.fillWidth: true
    spacing: Theme.space

    Text {
        Layout.alignment: Qt.AlignTop
        color: Theme.secondaryText
        font.pixelSize: Theme.bodySize
        lineHeight: 1.15
        text: "•"

        Accessible.ignored: true
    }
    Paragraph {
        Layout.fillWidth: true
        text: bullet.text
    }
}
