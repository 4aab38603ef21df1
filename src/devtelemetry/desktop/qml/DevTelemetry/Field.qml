import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts

// A line of text that is saved by its button or the enter key. An error in it is shown below.
ColumnLayout {
    id: field

    required property string title
    required property string explanation
    // The stored text.
    property string saved: ""
    property string error: ""
    property bool isSecret: false
    property alias placeholder: input.placeholderText
    default property alias extraButtons: buttons.data
    readonly property bool isChanged: input.text.trim() !== saved

    signal submitted(string text)

    function submit() {
        if (!isChanged)
            return;
        submitted(input.text.trim());
        if (isSecret)
            input.clear();
    }

    Layout.fillWidth: true
    spacing: Theme.space / 2

    onSavedChanged: input.text = saved

    Paragraph {
        Layout.fillWidth: true
        font.weight: Font.Medium
        text: field.title

        Accessible.ignored: true
    }
    Paragraph {
        Layout.fillWidth: true
        color: Theme.secondaryText
        font.pixelSize: Theme.smallSize
        text: field.explanation

        Accessible.ignored: true
    }
    // Side by side if there is room for both.
    GridLayout {
        Layout.fillWidth: true
        Layout.topMargin: Theme.space / 2
        columnSpacing: Theme.space
        columns: field.width < 24 * Theme.bodySize ? 1 : 2
        rowSpacing: Theme.space

        TextField {
            id: input

            Layout.fillWidth: true
            color: Theme.text
            echoMode: field.isSecret ? TextInput.Password : TextInput.Normal
            font.pixelSize: Theme.bodySize
            implicitHeight: Theme.controlHeight
            inputMethodHints: Qt.ImhNoPredictiveText | Qt.ImhNoAutoUppercase | (field.isSecret ? Qt.ImhSensitiveData : Qt.ImhUrlCharactersOnly)
            leftPadding: 1.5 * Theme.space
            placeholderTextColor: Theme.secondaryText
            rightPadding: 1.5 * Theme.space
            selectByMouse: true
            selectedTextColor: Theme.accentText
            selectionColor: Theme.accent
            text: field.saved
            verticalAlignment: TextInput.AlignVCenter

            Accessible.name: field.title
            // Qt does not pass on the name of a password field, in case it is the password.
            Accessible.description: [field.isSecret ? field.title : "", field.error || field.explanation].filter(Boolean).join(": ")
            onAccepted: field.submit()

            background: Rectangle {
                border.color: field.error !== "" ? Theme.bad : input.activeFocus ? Theme.accent : Theme.outline
                border.width: input.activeFocus ? 2 : 1
                color: Theme.field
                radius: Theme.radius - 2
            }
        }
        RowLayout {
            id: buttons

            spacing: Theme.space

            ActionButton {
                enabled: field.isChanged
                text: qsTr("Save")

                Accessible.description: field.title
                onClicked: field.submit()
            }
        }
    }
    Paragraph {
        Layout.fillWidth: true
        color: Theme.bad
        font.pixelSize: Theme.smallSize
        text: field.error
        visible: text !== ""

        Accessible.role: Accessible.AlertMessage
    }
}
