pragma ComponentBehavior: Bound

import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts

// All that this device has sent lately or is about to send, field by field.
Sheet {
    id: sheet

    required property var backend

    readonly property var sent: JSON.parse(visible && backend.sent || "{}")
    readonly property var rows: {
        if (!sent.telemetry_enabled)
            return [];
        const reporter = {
            key: "reporter",
            title: qsTr("With every push: who reports"),
            value: {
                reporter: sent.reporter,
                memberships: sent.memberships,
                lost: sent.lost
            }
        };
        return [reporter, ...sent.samples.map(report => ({
                        key: report.sequence,
                        title: qsTr("Report %1: %2", "a number and what became of it").arg(report.sequence).arg(stateNames[report.state] ?? report.state),
                        tint: stateColors[report.state],
                        moment: Theme.moment(new Date(report.recorded_at)),
                        reason: report.reason,
                        summary: report.sample.message_id ?? report.sample.envelope_id,
                        value: report.sample
                    }))];
    }
    readonly property var stateNames: ({
            "queued": qsTr("waiting"),
            "in_flight": qsTr("under way"),
            "acknowledged": qsTr("acknowledged"),
            "set_aside": qsTr("set aside")
        })
    readonly property var stateColors: ({
            "acknowledged": Theme.good,
            "set_aside": Theme.bad
        })
    // By key, because each change makes new rows.
    property var unfolded: ({})

    preferredWidth: 48 * Theme.bodySize
    title: qsTr("What is sent")

    onClosed: unfolded = ({})
    onOpened: close.forceActiveFocus(Qt.TabFocusReason)
    onRowsChanged: {
        // New rows must not move the list while somebody reads it.
        const at = list.contentY;
        const current = list.currentIndex;
        list.model = rows;
        list.currentIndex = Math.max(0, Math.min(current, rows.length - 1));
        list.contentY = Math.max(0, Math.min(at, list.contentHeight - list.height));
    }

    contentItem: ColumnLayout {
        spacing: 1.5 * Theme.space

        Paragraph {
            Layout.fillWidth: true
            color: Theme.secondaryText
            text: qsTr("This goes to the server, field by field, with the number of the report and the time of sending. The newest is on top; what is done with stays here for a day.")
        }
        ListView {
            id: list

            Layout.fillHeight: true
            Layout.fillWidth: true
            Layout.preferredHeight: 40 * Theme.bodySize
            activeFocusOnTab: count > 0
            boundsBehavior: Flickable.StopAtBounds
            clip: true
            spacing: Theme.space

            Accessible.name: sheet.title
            Accessible.role: Accessible.List

            ScrollBar.vertical: ScrollBar {
                policy: list.contentHeight > list.height ? ScrollBar.AlwaysOn : ScrollBar.AlwaysOff

                Accessible.ignored: true
            }
            delegate: SentRow {
                required property int index
                required property var modelData

                isUnfolded: sheet.unfolded[modelData.key] ?? false
                moment: modelData.moment ?? ""
                reason: modelData.reason ?? ""
                summary: modelData.summary ?? ""
                tint: modelData.tint ?? Theme.secondaryText
                title: modelData.title
                value: modelData.value
                width: list.width - 1.5 * Theme.space

                onClicked: {
                    list.currentIndex = index;
                    sheet.unfolded = Object.assign({}, sheet.unfolded, {
                        [modelData.key]: !isUnfolded
                    });
                }
            }

            Paragraph {
                anchors.centerIn: parent
                color: Theme.secondaryText
                text: qsTr("Nothing: telemetry is off.")
                visible: list.count === 0
            }
        }
    }
    footer: SheetButtons {
        ActionButton {
            text: justCopied.running ? qsTr("Copied") : qsTr("Copy as JSON")

            onClicked: {
                clipboard.text = sheet.backend.sent;
                clipboard.selectAll();
                clipboard.copy();
                clipboard.clear();
                justCopied.restart();
            }

            Timer {
                id: justCopied

                interval: 2000
            }
            // Qt Quick can reach the clipboard only through a text item.
            TextEdit {
                id: clipboard

                textFormat: TextEdit.PlainText
                visible: false

                Accessible.ignored: true
            }
        }
        ActionButton {
            id: close

            isPrimary: true
            text: qsTr("Close")

            onClicked: sheet.close()
        }
    }
}
