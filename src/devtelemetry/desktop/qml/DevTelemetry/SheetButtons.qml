import QtQuick
import QtQuick.Layouts

// At the foot of a dialog, to the right.
Item {
    default property alias buttons: row.data

    implicitHeight: row.implicitHeight + 5 * Theme.space

    RowLayout {
        id: row

        anchors.bottom: parent.bottom
        anchors.bottomMargin: 3 * Theme.space
        anchors.right: parent.right
        anchors.rightMargin: 3 * Theme.space
        spacing: 1.5 * Theme.space
    }
}
