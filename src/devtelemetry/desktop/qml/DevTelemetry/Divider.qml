import QtQuick
import QtQuick.Layouts

Rectangle {
    Layout.fillWidth: true
    color: Theme.border
    implicitHeight: 1
}
