import QtQuick
import QtQuick.Controls.Basic

// A dialog over the window, as large as its content wants and the window allows. Escape closes it.
Dialog {
    id: sheet

    property int preferredWidth: 40 * Theme.bodySize

    anchors.centerIn: parent
    closePolicy: Popup.CloseOnEscape
    font.pixelSize: Theme.bodySize
    height: Math.min(implicitHeight, (parent?.height ?? 0) - 4 * Theme.space)
    leftPadding: 3 * Theme.space
    modal: true
    parent: Overlay.overlay
    rightPadding: 3 * Theme.space
    topPadding: 0
    bottomPadding: 0
    width: Math.min(preferredWidth, (parent?.width ?? 0) - 4 * Theme.space)

    background: Rectangle {
        border.color: Theme.border
        color: Theme.card
        radius: 1.4 * Theme.radius
    }
    header: Heading {
        bottomPadding: 1.5 * Theme.space
        font.pixelSize: Math.round(Theme.bodySize * 1.35)
        leftPadding: sheet.leftPadding
        rightPadding: sheet.rightPadding
        text: sheet.title
        topPadding: 3 * Theme.space
    }

    Overlay.modal: Rectangle {
        color: Theme.scrim
    }
}
