import QtQuick
import QtQuick.Controls.Basic

// Scrolls its content by wheel, touch, bar and keys. With `focusable`, the tab key reaches it: for
// text that contains no control.
Flickable {
    id: area

    property bool focusable: false
    default property alias content: holder.data

    function scrollBy(pixels) {
        contentY = Math.max(0, Math.min(contentHeight - height, contentY + pixels));
    }

    activeFocusOnTab: focusable && contentHeight > height
    boundsBehavior: Flickable.StopAtBounds
    clip: true
    contentHeight: holder.implicitHeight
    contentWidth: width

    Accessible.ignored: !focusable
    Keys.onDownPressed: scrollBy(3 * Theme.bodySize)
    Keys.onUpPressed: scrollBy(-3 * Theme.bodySize)
    Keys.onPressed: event => {
        const page = {
            [Qt.Key_PageDown]: 0.9,
            [Qt.Key_PageUp]: -0.9
        }[event.key];
        if (page === undefined)
            return;
        scrollBy(page * height);
        event.accepted = true;
    }

    ScrollBar.vertical: ScrollBar {
        id: bar

        policy: area.contentHeight > area.height ? ScrollBar.AlwaysOn : ScrollBar.AlwaysOff

        Accessible.ignored: true

        contentItem: Rectangle {
            color: Theme.outline
            implicitWidth: 6
            opacity: bar.pressed ? 1 : bar.hovered ? 0.8 : 0.5
            radius: 3
        }
    }

    Item {
        id: holder

        implicitHeight: children.length > 0 ? children[0].implicitHeight : 0
        width: area.width
    }
    FocusRing {
        parent: area
        anchors.margins: 0
        shown: area.activeFocus && area.focusable
    }
}
