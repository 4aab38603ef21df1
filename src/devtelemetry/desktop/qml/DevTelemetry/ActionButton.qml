import QtQuick
import QtQuick.Controls.Basic

Button {
    id: button

    // Whether this is the button that its dialog is about.
    property bool isPrimary: false

    bottomPadding: Theme.space
    font.pixelSize: Theme.bodySize
    font.weight: Font.Medium
    implicitHeight: Math.max(Theme.controlHeight, implicitContentHeight + topPadding + bottomPadding)
    leftPadding: 2 * Theme.space
    opacity: enabled ? 1 : 0.45
    rightPadding: 2 * Theme.space
    topPadding: Theme.space

    Accessible.name: text
    Keys.onEnterPressed: click()
    Keys.onReturnPressed: click()

    background: Rectangle {
        border.color: button.isPrimary ? "transparent" : Theme.outline
        color: {
            if (button.isPrimary)
                return button.down ? Qt.darker(Theme.accent, 1.15) : button.hovered ? Qt.lighter(Theme.accent, 1.06) : Theme.accent;
            return button.down || button.hovered ? Theme.hovered : "transparent";
        }
        radius: Theme.radius - 2

        FocusRing {
            shown: button.visualFocus
        }
    }
    contentItem: Text {
        color: button.isPrimary ? Theme.accentText : Theme.text
        elide: Text.ElideRight
        font: button.font
        horizontalAlignment: Text.AlignHCenter
        text: button.text
        textFormat: Text.PlainText
        verticalAlignment: Text.AlignVCenter

        Accessible.ignored: true
    }
}
