import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts

// A switch with its explanation. It shows the real state, not what was clicked. A click emits
// `asked`, and the switch moves when the state has changed.
Switch {
    id: row

    required property string title
    required property string explanation
    required property bool isOn

    signal asked(bool wanted)

    Layout.fillWidth: true
    bottomPadding: 0
    checked: isOn
    font.pixelSize: Theme.bodySize
    hoverEnabled: true
    implicitHeight: implicitContentHeight
    leftPadding: 0
    rightPadding: knob.width + 3 * Theme.space
    text: title
    topPadding: 0

    Accessible.name: title
    Accessible.description: explanation
    Keys.onEnterPressed: click()
    Keys.onReturnPressed: click()
    onToggled: {
        const wanted = checked;
        checked = Qt.binding(() => row.isOn);
        asked(wanted);
    }

    background: Item {}
    contentItem: ColumnLayout {
        spacing: Theme.space / 2

        Paragraph {
            Layout.fillWidth: true
            font.weight: Font.Medium
            text: row.title

            Accessible.ignored: true
        }
        Paragraph {
            Layout.fillWidth: true
            color: Theme.secondaryText
            font.pixelSize: Theme.smallSize
            text: row.explanation

            Accessible.ignored: true
        }
    }
    indicator: Rectangle {
        id: knob

        border.color: row.checked ? Theme.accent : Theme.outline
        border.width: row.checked ? 0 : 1.5
        color: row.checked ? Theme.accent : row.hovered ? Theme.hovered : Theme.field
        height: 24
        radius: height / 2
        width: 44
        x: row.width - width
        y: 0

        Behavior on color {
            ColorAnimation {
                duration: 120
            }
        }

        Rectangle {
            color: row.checked ? Theme.accentText : Theme.outline
            height: row.checked ? 18 : 14
            radius: height / 2
            width: height
            x: 3 + (row.checked ? 0 : 2) + row.visualPosition * (knob.width - 24)
            y: (knob.height - height) / 2

            Behavior on x {
                enabled: !row.down

                NumberAnimation {
                    duration: 120
                }
            }
        }
        FocusRing {
            radius: height / 2
            shown: row.visualFocus
        }
    }
}
