import QtQuick
import QtQuick.Layouts

// The telemetry settings, for a page of the host app. docs/desktop.md says what `backend` must be.
// Invisible if this build of the app does not offer telemetry.
ColumnLayout {
    id: section

    required property var backend
    readonly property bool isNarrow: width < 30 * Theme.bodySize
    readonly property bool isOn: backend.telemetryEnabled
    // Whether telemetry was switched off while the page was open.
    property bool hasJustLeft: false

    spacing: 2 * Theme.space
    visible: backend.offered

    onIsOnChanged: hasJustLeft = !isOn

    Binding {
        property: "active"
        target: section.backend
        value: section.visible && (section.Window.window?.visible ?? false)
    }
    Note {
        explanation: section.backend.error
        kind: "bad"
        title: qsTr("That did not work")
        visible: section.backend.error !== ""
    }
    Card {
        SwitchRow {
            explanation: section.isOn ? qsTr("To leave, switch it off: that stops it at once, wipes what is queued on this device, and asks the server to delete what it got.") : qsTr("Helps the developers to find out where messages get lost. Off unless you switch it on.")
            isOn: section.isOn
            title: qsTr("Send reliability telemetry")

            onAsked: wanted => {
                if (wanted)
                    optIn.open();
                else
                    section.backend.disable();
            }
        }
    }
    Note {
        explanation: section.backend.leaving > 0 ? qsTr("Nothing is recorded or sent any more, and what was queued here is wiped. The server is asked to delete what it got, until it says that it did.") : qsTr("Nothing is recorded or sent any more, what was queued here is wiped, and no server keeps reports of this installation.")
        title: section.backend.leaving > 0 ? qsTr("Asked to forget") : qsTr("Telemetry is off")
        visible: section.backend.leaving > 0 || section.hasJustLeft
    }
    ProblemNote {
        backend: section.backend
        visible: section.isOn && section.backend.problem !== ""
    }
    StateCard {
        backend: section.backend
        visible: section.isOn
    }
    Card {
        GridLayout {
            Layout.fillWidth: true
            columnSpacing: 2 * Theme.space
            columns: section.isNarrow ? 1 : 2
            rowSpacing: 1.5 * Theme.space

            ColumnLayout {
                Layout.fillWidth: true
                spacing: Theme.space / 2

                Paragraph {
                    Layout.fillWidth: true
                    font.weight: Font.Medium
                    text: qsTr("What is sent")
                }
                Paragraph {
                    Layout.fillWidth: true
                    color: Theme.secondaryText
                    font.pixelSize: Theme.smallSize
                    text: qsTr("Each report with all its fields, and what became of it.")
                }
            }
            ActionButton {
                text: qsTr("Show")

                Accessible.description: qsTr("What is sent")
                onClicked: sentSheet.open()
            }
        }
    }
    Card {
        spacing: 2 * Theme.space

        Field {
            error: section.backend.serverError
            explanation: section.backend.appServer !== "" ? qsTr("HOST:PORT. Empty: the app's own, %1. Another server is no opt-out: the one before keeps what it got until you leave.").arg(section.backend.appServer) : qsTr("HOST:PORT. Empty: the one that the app names. Another server is no opt-out: the one before keeps what it got until you leave.")
            placeholder: section.backend.appServer || "host:port"
            saved: section.backend.server
            title: qsTr("Server address")

            onSubmitted: text => section.backend.setServer(text)
        }
        Divider {}
        Field {
            error: section.backend.tokenError
            explanation: qsTr("For servers that ask for one. Once saved, it is not shown again.")
            isSecret: true
            placeholder: section.backend.tokenIsSet ? qsTr("A token is stored") : "dt_…"
            title: qsTr("Token")

            onSubmitted: text => section.backend.setToken(text)

            ActionButton {
                text: qsTr("Remove")
                visible: section.backend.tokenIsSet

                Accessible.description: qsTr("Token")
                onClicked: section.backend.setToken("")
            }
        }
    }
    Card {
        spacing: 2 * Theme.space

        SwitchRow {
            explanation: qsTr("Off: a pseudonym goes in its place, made with a secret that never leaves this device. On: whoever reads the server's data sees which messages are yours, on all your devices.")
            isOn: section.backend.sendRealKey
            title: qsTr("Send my public key itself")

            onAsked: wanted => section.backend.setSendRealKey(wanted)
        }
        Divider {}
        SwitchRow {
            explanation: qsTr("From the next report on, the server gets values that only members of a channel can make from the ids, and no topics. Reports of a channel can be compared only if all of its members choose alike, and an id that can be guessed can still be tried.")
            isOn: section.backend.blindIds
            title: qsTr("Blind message and channel ids")

            onAsked: wanted => section.backend.setBlindIds(wanted)
        }
    }
    OptInDialog {
        id: optIn

        backend: section.backend

        onAccepted: section.backend.enable()
    }
    SentSheet {
        id: sentSheet

        backend: section.backend
    }
}
