import QtQuick

// Around a control that has the keyboard's focus.
Rectangle {
    id: ring

    required property bool shown

    anchors.fill: parent
    anchors.margins: -3
    border.color: Theme.accent
    border.width: 2
    color: "transparent"
    radius: Theme.radius
    visible: shown
}
