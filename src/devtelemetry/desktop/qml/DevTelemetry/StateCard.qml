import QtQuick

// The state of telemetry while it is on.
Card {
    id: card

    required property var backend

    readonly property var faults: backend.faults
    readonly property bool hasSent: !isNaN(backend.lastSentAt.getTime())

    // Problems with the server, in a few words. ProblemNote says more.
    readonly property var trouble: ({
            "unreachable": qsTr("Not reachable"),
            "busy": qsTr("Busy"),
            "token_refused": qsTr("Does not accept the token"),
            "refused": qsTr("Does not take reports"),
            "server_fault": qsTr("Has a fault"),
            "no_server": qsTr("None is set")
        })[backend.problem]

    spacing: Theme.space

    StateRow {
        title: qsTr("On since")
        value: Theme.moment(card.backend.optedInAt)
    }
    Divider {}
    StateRow {
        title: qsTr("Server")
        value: card.trouble ?? (card.hasSent ? qsTr("Reachable") : qsTr("Nothing sent yet"))
        valueColor: card.trouble !== undefined ? Theme.warning : card.hasSent ? Theme.good : Theme.secondaryText
    }
    Divider {}
    StateRow {
        title: qsTr("Last sent")
        value: card.hasSent ? Theme.moment(card.backend.lastSentAt) : qsTr("never")
    }
    Divider {}
    StateRow {
        explanation: qsTr("Reports on this device, to be sent")
        title: qsTr("Waiting")
        value: Theme.count(card.backend.waiting)
    }
    Divider {}
    StateRow {
        explanation: qsTr("Reports that the server has")
        title: qsTr("Acknowledged")
        value: Theme.count(card.backend.acknowledged)
    }
    Divider {}
    StateRow {
        explanation: qsTr("Reports lost on this device: too many were waiting, or the power failed")
        title: qsTr("Dropped")
        value: Theme.count(card.backend.dropped)
    }
    Divider {}
    StateRow {
        explanation: qsTr("Reports that the server refused, or that cannot be sent; each has its reason")
        title: qsTr("Set aside")
        value: Theme.count(card.backend.setAside)
    }
    Divider {
        visible: errors.visible
    }
    StateRow {
        id: errors

        explanation: qsTr("Reports set aside here because the app said them wrongly; its makers can repair it: %1").arg(Object.keys(card.faults).join(", "))
        title: qsTr("Errors of the app")
        value: Theme.count(Object.values(card.faults).reduce((sum, number) => sum + number, 0))
        visible: Object.keys(card.faults).length > 0
    }
    Divider {
        visible: early.visible
    }
    StateRow {
        id: early

        explanation: qsTr("Messages sent before you opted in; nothing is kept of them")
        title: qsTr("From before")
        value: Theme.count(card.backend.beforeOptIn)
        visible: card.backend.beforeOptIn > 0
    }
}
