import QtQuick
import QtQuick.Layouts

// Something that the user should read now, with what to do about it.
Card {
    id: note

    required property string title
    property string explanation: ""
    property string detail: ""
    // "info", "warning" or "bad"
    property string kind: "info"

    readonly property color tint: kind === "bad" ? Theme.bad : kind === "warning" ? Theme.warning : Theme.accent

    border.color: Qt.alpha(tint, 0.5)
    color: kind === "bad" ? Theme.badCard : kind === "warning" ? Theme.warningCard : Theme.card
    spacing: Theme.space / 2

    Accessible.role: Accessible.AlertMessage
    Accessible.name: title
    Accessible.description: [explanation, detail].join(" ").trim()
    onVisibleChanged: {
        if (visible)
            Accessible.announce([title, explanation].join(". "));
    }

    RowLayout {
        Layout.fillWidth: true
        spacing: 1.5 * Theme.space

        Rectangle {
            Layout.alignment: Qt.AlignTop
            Layout.topMargin: 1
            color: note.tint
            implicitHeight: Theme.bodySize + 6
            implicitWidth: Theme.bodySize + 6
            radius: width / 2

            Text {
                anchors.centerIn: parent
                color: Theme.card
                font.bold: true
                font.pixelSize: Theme.bodySize - 1
                text: note.kind === "info" ? "i" : "!"

                Accessible.ignored: true
            }
        }
        ColumnLayout {
            Layout.fillWidth: true
            spacing: Theme.space / 2

            Paragraph {
                Layout.fillWidth: true
                font.weight: Font.DemiBold
                text: note.title

                Accessible.ignored: true
            }
            Paragraph {
                Layout.fillWidth: true
                text: note.explanation
                visible: text !== ""

                Accessible.ignored: true
            }
            Paragraph {
                Layout.fillWidth: true
                color: Theme.secondaryText
                font.family: Theme.fixedFont
                font.pixelSize: Theme.smallSize
                text: note.detail
                visible: text !== ""
                wrapMode: Text.WrapAnywhere

                Accessible.ignored: true
            }
        }
    }
}
