import QtQuick
import QtQuick.Layouts

// A page of its own: the telemetry section under its title, scrolled.
Rectangle {
    id: page

    required property var backend

    readonly property Item focused: Window.activeFocusItem

    color: Theme.window

    // Scrolls to the control that the tab key has reached.
    onFocusedChanged: {
        for (let item = focused; item !== null; item = item.parent) {
            if (item === column) {
                area.reveal(focused);
                return;
            }
        }
    }

    ScrollArea {
        id: area

        function reveal(item) {
            const margin = 2 * Theme.space;
            const top = item.mapToItem(column, 0, 0).y + column.y - margin;
            const bottom = top + item.height + 2 * margin;
            if (top < contentY)
                scrollBy(top - contentY);
            else if (bottom > contentY + height)
                scrollBy(Math.min(bottom - height, top) - contentY);
        }

        anchors.fill: parent

        ColumnLayout {
            id: column

            readonly property int margin: page.width < 32 * Theme.bodySize ? 2 * Theme.space : 4 * Theme.space

            spacing: 2 * Theme.space
            width: Math.min(parent.width - 2 * margin, Theme.readableWidth)
            x: (parent.width - width) / 2

            Heading {
                Layout.fillWidth: true
                Layout.topMargin: 3 * Theme.space
                font.pixelSize: Theme.titleSize
                text: qsTr("Advanced settings")
            }
            Paragraph {
                Layout.fillWidth: true
                color: Theme.secondaryText
                text: qsTr("This build of the app does not offer telemetry.")
                visible: !page.backend.offered
            }
            TelemetrySection {
                Layout.fillWidth: true
                backend: page.backend
            }
            Item {
                implicitHeight: 2 * Theme.space
            }
        }
    }
}
