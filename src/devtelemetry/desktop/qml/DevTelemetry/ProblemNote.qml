import QtQuick

// Why nothing is sent at present, and what to do about it.
Note {
    id: note

    required property var backend

    readonly property var words: ({
            "unreachable": [qsTr("The server cannot be reached"), qsTr("Reports wait on this device and are sent when it answers. If this lasts, check your connection and the server's address.")],
            "busy": [qsTr("The server asked to wait"), qsTr("There is nothing to do: the app tries again by itself.")],
            "token_refused": [qsTr("The server does not accept the token"), qsTr("Enter a valid token below. Whoever runs the server can give you one.")],
            "refused": [qsTr("The server could not read what was sent"), qsTr("Check that the address below is that of a telemetry server. If it is, update the app.")],
            "server_fault": [qsTr("The server has a fault"), qsTr("There is nothing to do: the app tries again by itself.")],
            "no_server": [qsTr("No server is set"), qsTr("Enter the address of one below.")],
            "disk": [qsTr("Reports cannot be stored on this device"), qsTr("Check that the disk has free space.")]
        })
    // The default is for a problem that is newer than this page.
    readonly property var told: words[backend.problem] ?? [qsTr("Nothing can be sent just now"), ""]

    detail: backend.problemDetail
    explanation: told[1]
    kind: "warning"
    title: told[0]
}
