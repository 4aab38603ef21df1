import QtQuick
import QtQuick.Layouts

// Tells the user in plain words what they agree to. Nothing is switched on before `accepted`.
Sheet {
    id: dialog

    required property var backend

    readonly property string address: backend.server || backend.appServer

    title: qsTr("Send reliability telemetry?")

    // So that an enter key which was meant for something else is not an opt-in.
    onOpened: cancel.forceActiveFocus(Qt.TabFocusReason)

    contentItem: ScrollArea {
        focusable: true
        implicitHeight: words.implicitHeight

        Accessible.name: dialog.title
        Accessible.role: Accessible.Document

        ColumnLayout {
            id: words

            spacing: Theme.space / 2
            width: parent.width - 1.5 * Theme.space

            Paragraph {
                Layout.bottomMargin: Theme.space
                Layout.fillWidth: true
                text: qsTr("The developers learn from it how reliably messages arrive, and find out why some get lost.")
            }
            Heading {
                text: qsTr("What is sent")
            }
            Bullet {
                text: qsTr("One small report for each message that you send or receive: message id, channel id, when it was sent and received, topics and id of the envelope that carried it, the type and size of the message, and whether you wrote it.")
            }
            Bullet {
                text: qsTr("With the reports: this app's platform and version, a random id of this installation, a running number, the time, and when you joined or left a channel. At least every half hour a sign that the app is running.")
            }
            Bullet {
                text: dialog.backend.sendRealKey ? qsTr("Your public key itself, because you have set it so.") : qsTr("Instead of your public key, a pseudonym.")
            }
            Bullet {
                text: qsTr("Message, channel and envelope ids only blinded, and no topics, because you have set it so.")
                visible: dialog.backend.blindIds
            }
            Bullet {
                text: qsTr("Never the content of a message.")
            }
            Heading {
                Layout.topMargin: Theme.space
                text: qsTr("To whom")
            }
            Paragraph {
                Layout.fillWidth: true
                text: dialog.address !== "" ? qsTr("To the server %1.").arg(dialog.address) : qsTr("To the server that the app names; no other is set here.")
            }
            Paragraph {
                Layout.fillWidth: true
                text: qsTr("Whoever runs the server can see from the reports who is in which channel with whom, and when each device is online.")
            }
            Heading {
                Layout.topMargin: Theme.space
                text: qsTr("For how long")
            }
            Paragraph {
                Layout.fillWidth: true
                text: qsTr("The server deletes the reports after 7 days. Which channels this installation is in, and when it last reported, it keeps until you leave. Figures that name nobody stay.")
            }
            Heading {
                Layout.topMargin: Theme.space
                text: qsTr("How to leave")
            }
            Paragraph {
                Layout.bottomMargin: Theme.space
                Layout.fillWidth: true
                text: qsTr("Switch it off. That stops it at once, wipes what is queued on this device, and asks the server to delete what it got.")
            }
        }
    }
    footer: SheetButtons {
        ActionButton {
            id: cancel

            text: qsTr("Cancel")

            onClicked: dialog.reject()
        }
        ActionButton {
            isPrimary: true
            text: qsTr("Turn on")

            onClicked: dialog.accept()
        }
    }
}
