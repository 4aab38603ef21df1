import QtQuick
import QtQuick.Layouts

// A group of settings on a surface of its own.
Rectangle {
    id: card

    default property alias content: column.data
    property alias spacing: column.spacing
    property int padding: 2 * Theme.space

    Layout.fillWidth: true
    border.color: Theme.border
    color: Theme.card
    implicitHeight: column.implicitHeight + 2 * padding
    radius: Theme.radius

    ColumnLayout {
        id: column

        anchors.left: parent.left
        anchors.margins: card.padding
        anchors.right: parent.right
        anchors.top: parent.top
        spacing: 1.5 * Theme.space
    }
}
