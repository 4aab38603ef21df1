import QtQuick
import DevTelemetry

// The window of `devtelemetry desktop`.
Window {
    id: window

    required property var backend
    property string colorScheme: "system"

    color: Theme.window
    height: 860
    minimumHeight: 400
    minimumWidth: 340
    title: qsTr("Advanced settings")
    visible: true
    width: 760

    Component.onCompleted: Theme.colorScheme = window.colorScheme

    AdvancedSettings {
        anchors.fill: parent
        backend: window.backend
    }
}
