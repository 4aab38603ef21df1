pragma Singleton

import QtQuick

// Colours and measures. A host app may set any of them.
QtObject {
    // "system", "light" or "dark".
    property string colorScheme: "system"

    readonly property bool isDark: colorScheme === "dark" || (colorScheme !== "light" && systemIsDark)

    property color window: isDark ? "#15171c" : "#f4f5f8"
    property color card: isDark ? "#1d2027" : "#ffffff"
    property color field: isDark ? "#15171c" : "#ffffff"
    property color hovered: isDark ? "#262a33" : "#f2f4f8"
    property color border: isDark ? "#31363f" : "#e0e4ea"
    property color outline: isDark ? "#78818f" : "#868f9d"
    property color text: isDark ? "#eef0f4" : "#191c21"
    property color secondaryText: isDark ? "#a7aebb" : "#5a6270"
    property color accent: isDark ? "#7aa5ff" : "#2459d3"
    property color accentText: isDark ? "#0d1526" : "#ffffff"
    property color good: isDark ? "#62cf93" : "#14743f"
    property color warning: isDark ? "#f0b755" : "#8a5200"
    property color warningCard: isDark ? "#2b2519" : "#fff7e8"
    property color bad: isDark ? "#ff8d85" : "#b3261e"
    property color badCard: isDark ? "#321e1f" : "#fdeeed"
    property color scrim: isDark ? "#a0000000" : "#66101828"

    // Never smaller than the system's font, but many systems' font is too small to read well.
    readonly property int bodySize: Math.max(14, probe.fontInfo.pixelSize)
    readonly property int smallSize: Math.round(bodySize * 0.9)
    readonly property int headingSize: Math.round(bodySize * 1.15)
    readonly property int titleSize: Math.round(bodySize * 1.7)
    readonly property int space: 8
    readonly property int radius: 10
    readonly property int controlHeight: Math.round(bodySize * 2.6)
    // Longer lines are hard to read.
    readonly property int readableWidth: bodySize * 50
    property string fixedFont: ({
            "osx": "Menlo",
            "windows": "Consolas"
        })[Qt.platform.os] ?? "monospace"

    // If the platform does not say which scheme it has, its colours show it.
    readonly property bool systemIsDark: {
        if (Application.styleHints.colorScheme === Qt.ColorScheme.Unknown)
            return systemColors.window.hslLightness < 0.5;
        return Application.styleHints.colorScheme === Qt.ColorScheme.Dark;
    }

    readonly property SystemPalette systemColors: SystemPalette {}
    readonly property Text probe: Text {}

    // A time in the system's format. The day is given too, unless it is today.
    function moment(when) {
        const time = when.toLocaleTimeString(Qt.locale(), Locale.ShortFormat);
        if (when.toDateString() === new Date().toDateString())
            return qsTr("today, %1").arg(time);
        return qsTr("%1, %2", "a day and a time").arg(when.toLocaleDateString(Qt.locale(), Locale.ShortFormat)).arg(time);
    }

    function count(number) {
        return Number(number).toLocaleString(Qt.locale(), "f", 0);
    }
}
