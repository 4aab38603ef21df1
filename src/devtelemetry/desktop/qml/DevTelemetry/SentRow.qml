import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts

// A line for one thing that is sent. It unfolds to show all fields.
ItemDelegate {
    id: row

    required property string title
    required property var value
    property string moment: ""
    property string reason: ""
    property string summary: ""
    property color tint: Theme.secondaryText
    property bool isUnfolded: false

    bottomPadding: 1.25 * Theme.space
    font.pixelSize: Theme.bodySize
    hoverEnabled: true
    leftPadding: 1.5 * Theme.space
    rightPadding: 1.5 * Theme.space
    text: title
    topPadding: 1.25 * Theme.space

    Accessible.name: title
    Accessible.description: reason !== "" ? reason : summary
    Keys.onEnterPressed: click()
    Keys.onReturnPressed: click()

    background: Rectangle {
        // The focus belongs to the list's current row, because rows come and go with what is sent.
        readonly property bool hasFocus: row.ListView.isCurrentItem && (row.ListView.view?.activeFocus ?? false)

        border.color: hasFocus ? Theme.accent : Theme.border
        border.width: hasFocus ? 2 : 1
        color: row.hovered ? Theme.hovered : Theme.card
        radius: Theme.radius - 2
    }
    contentItem: ColumnLayout {
        spacing: Theme.space / 2

        RowLayout {
            Layout.fillWidth: true
            spacing: Theme.space

            Rectangle {
                color: row.tint
                implicitHeight: 8
                implicitWidth: 8
                radius: 4
            }
            Paragraph {
                Layout.fillWidth: true
                elide: Text.ElideRight
                font.weight: Font.Medium
                text: row.title
                wrapMode: Text.NoWrap

                Accessible.ignored: true
            }
            Paragraph {
                color: Theme.secondaryText
                font.pixelSize: Theme.smallSize
                text: row.moment

                Accessible.ignored: true
            }
            Text {
                color: Theme.secondaryText
                font.pixelSize: Theme.headingSize
                rotation: row.isUnfolded ? 90 : 0
                text: "›"

                Accessible.ignored: true
            }
        }
        Paragraph {
            Layout.fillWidth: true
            color: Theme.bad
            font.pixelSize: Theme.smallSize
            text: row.reason
            visible: text !== ""

            Accessible.ignored: true
        }
        Paragraph {
            Layout.fillWidth: true
            color: Theme.secondaryText
            elide: Text.ElideMiddle
            font.family: Theme.fixedFont
            font.pixelSize: Theme.smallSize
            text: row.summary
            visible: text !== "" && !row.isUnfolded
            wrapMode: Text.NoWrap

            Accessible.ignored: true
        }
        TextEdit {
            Layout.fillWidth: true
            color: Theme.text
            font.family: Theme.fixedFont
            font.pixelSize: Theme.smallSize
            readOnly: true
            selectByMouse: true
            selectedTextColor: Theme.accentText
            selectionColor: Theme.accent
            text: row.isUnfolded ? JSON.stringify(row.value, null, 2) : ""
            textFormat: TextEdit.PlainText
            visible: row.isUnfolded
            wrapMode: TextEdit.WrapAnywhere

            Accessible.name: qsTr("As it is sent")
        }
    }
}
