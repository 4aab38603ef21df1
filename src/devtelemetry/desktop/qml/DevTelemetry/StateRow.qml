import QtQuick
import QtQuick.Layouts

// One fact: its name, what it means, its value.
RowLayout {
    id: row

    required property string title
    required property string value
    property string explanation: ""
    property color valueColor: Theme.text

    Layout.fillWidth: true
    spacing: 2 * Theme.space

    Accessible.role: Accessible.StaticText
    Accessible.name: qsTr("%1: %2", "a fact and its value").arg(title).arg(value)
    Accessible.description: explanation

    ColumnLayout {
        Layout.fillWidth: true
        spacing: 0

        Paragraph {
            Layout.fillWidth: true
            text: row.title

            Accessible.ignored: true
        }
        Paragraph {
            Layout.fillWidth: true
            color: Theme.secondaryText
            font.pixelSize: Theme.smallSize
            text: row.explanation
            visible: text !== ""

            Accessible.ignored: true
        }
    }
    Paragraph {
        Layout.alignment: Qt.AlignTop | Qt.AlignRight
        color: row.valueColor
        font.weight: Font.Medium
        horizontalAlignment: Text.AlignRight
        text: row.value

        Accessible.ignored: true
    }
}
